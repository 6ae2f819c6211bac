import { describe, expect, it } from 'vitest';
import { ChangeWindow } from './change-window.ts';

const seconds = (at: number, ...open: string[]) => ({ at: at * 1_000, open });

describe('the window of the change feed', () => {
  it('begins with everything, and then goes back to the poll before', () => {
    const window = new ChangeWindow();
    expect(window.advance(seconds(100))).toBeNull();
    expect(window.advance(seconds(102))).toBe(100_000);
    expect(window.advance(seconds(104))).toBe(102_000);
  });

  it('goes back to before a transaction was first seen, once it has ended, however late', () => {
    const window = new ChangeWindow();
    window.advance(seconds(100));
    expect(window.advance(seconds(102, '7'))).toBe(100_000);
    expect(window.advance(seconds(104, '7', '8'))).toBe(102_000);
    expect(window.advance(seconds(3_600, '7'))).toBe(102_000);
    expect(window.advance(seconds(3_602))).toBe(100_000);
    expect(window.advance(seconds(3_604))).toBe(3_602_000);
  });

  it('forgets everything when a transaction ends that was in progress at the first poll', () => {
    const window = new ChangeWindow();
    window.advance(seconds(100, '7'));
    expect(window.advance(seconds(102, '7'))).toBe(100_000);
    expect(window.advance(seconds(104))).toBeNull();
    expect(window.advance(seconds(106))).toBe(104_000);
  });

  it('forgets everything when the clock was set back, and when a transaction from before that ends', () => {
    const window = new ChangeWindow();
    window.advance(seconds(100));
    window.advance(seconds(102, '7'));
    expect(window.advance(seconds(42, '7'))).toBeNull();
    expect(window.advance(seconds(44, '7'))).toBe(42_000);
    expect(window.advance(seconds(46))).toBeNull();
  });
});
