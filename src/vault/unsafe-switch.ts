import { settings } from './settings.ts';

/** A switch that is for tests only, in the words of the log, the doctor, the readiness probe and the metrics. */
export const unsafeSwitch = {
  name: settings.unsafeAllowLoopbackProviders.variable,
  means: 'providers may be on http:// and on addresses of this machine, which is for tests and simulators only',
  action: `Unset ${settings.unsafeAllowLoopbackProviders.variable} where real grants are kept.`,
} as const;
