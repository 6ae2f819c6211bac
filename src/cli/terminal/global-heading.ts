/** The heading of the flags that every command takes. */
export const globalHeading = 'Global options:';
