// Vitest brings the types of tinybench, which name one type of the browser.
declare type DOMHighResTimeStamp = number;
