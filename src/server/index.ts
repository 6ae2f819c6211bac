/** The server over a vault: `startServer`. */

export type { ServerLimits } from './limits/server-limits.ts';
export { type Instruments, type RunningServer, type ServerOptions, startServer } from './server.ts';
