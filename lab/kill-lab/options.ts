export interface LabOptions {
  /** A name of a rotation profile of the simulator. */
  readonly rotation: string;
  /** `sqlite`, or the URL of an empty PostgreSQL database. */
  readonly database: string;
  /** Kills that must have met an open attempt. */
  readonly kills: number;
  readonly seed: number;
  /** Multiplies every time of the library and the provider's overlap. */
  readonly scale: number;
  readonly workers: number;
  /** Grants that are alive at any time; a lost one is replaced. */
  readonly grants: number;
  /** How long answers take, in milliseconds. */
  readonly delayMs: readonly [number, number];
  /** How often a process is stopped and resumed instead of killed. */
  readonly pauseShare: number;
  /** The run ends early after this long. */
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
