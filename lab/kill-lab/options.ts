export interface LabOptions {
  /** Name of a rotation profile of the simulator. */
  readonly rotation: string;
  /** Database: `sqlite`, or the URL of an empty PostgreSQL database. */
  readonly database: string;
  /** Number of kills that must meet an open attempt. */
  readonly kills: number;
  readonly seed: number;
  /** Multiplies every time of the library and the provider's overlap. */
  readonly scale: number;
  readonly workers: number;
  /** Number of living grants at any time; a lost one is replaced. */
  readonly grants: number;
  /** Range of answer times, in milliseconds. */
  readonly delayMs: readonly [number, number];
  /** Share of processes that are paused instead of killed. */
  readonly pauseShare: number;
  /** Maximum length of the run. */
  readonly minutesMax: number;
  readonly onProgress: (progress: LabProgress) => void;
}

export interface LabProgress {
  readonly counted: number;
  readonly kills: number;
  readonly pauses: number;
  readonly condemned: number;
  readonly seconds: number;
}
