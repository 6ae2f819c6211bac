/** The server over a vault: `startServer`. */
export { type RunningServer, type ServerOptions, startServer } from './server.ts';
