/** The heading under which help lists the flags that every command takes. */
export const globalHeading = 'Options of every command:';

/** For options that may be given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
