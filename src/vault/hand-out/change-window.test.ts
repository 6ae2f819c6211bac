import { describe, expect, it } from 'vitest';
import { ChangeWindow } from './change-window.ts';

const seconds = (at: number, ...open: string[]) => ({ at: at * 1_000, open });

function moved(window: ChangeWindow, mark: ReturnType<typeof seconds>): number | null {
  const since = window.since(mark);
  window.advance(mark);
  return since;
}

describe('the window of the change feed', () => {
  it('begins with everything, and then goes back to the poll before', () => {
    const window = new ChangeWindow();
    expect(moved(window, seconds(100))).toBe(0);
    expect(moved(window, seconds(102))).toBe(100_000);
    expect(moved(window, seconds(104))).toBe(102_000);
  });

  it('goes back to before a transaction was first seen, once it has ended, however late', () => {
    const window = new ChangeWindow();
    moved(window, seconds(100));
    expect(moved(window, seconds(102, '7'))).toBe(100_000);
    expect(moved(window, seconds(104, '7', '8'))).toBe(102_000);
    expect(moved(window, seconds(3_600, '7'))).toBe(102_000);
    expect(moved(window, seconds(3_602))).toBe(100_000);
    expect(moved(window, seconds(3_604))).toBe(3_602_000);
  });

  it('goes back to the beginning when a transaction ends that was in progress at the first poll', () => {
    const window = new ChangeWindow();
    moved(window, seconds(100, '7'));
    expect(moved(window, seconds(102, '7'))).toBe(100_000);
    expect(moved(window, seconds(104))).toBe(0);
    expect(moved(window, seconds(106))).toBe(104_000);
  });

  it('forgets everything when the clock was set back, and when a transaction from before that ends', () => {
    const window = new ChangeWindow();
    moved(window, seconds(100));
    moved(window, seconds(102, '7'));
    expect(moved(window, seconds(42, '7'))).toBeNull();
    expect(moved(window, seconds(44, '7'))).toBe(42_000);
    expect(moved(window, seconds(46))).toBeNull();
  });

  it('stays where it is when the changes could not be read', () => {
    const window = new ChangeWindow();
    moved(window, seconds(100));
    moved(window, seconds(102, '7'));
    expect(window.since(seconds(104))).toBe(100_000);
    expect(window.since(seconds(160))).toBe(100_000);
  });
});
