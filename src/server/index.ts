/** The server over a vault: `startServer`. */
export { type Instruments, type RunningServer, type ServerOptions, startServer } from './server.ts';
export type { ServerLimits } from './server-limits.ts';
