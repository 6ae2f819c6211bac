/** Grants at the provider that hangs, and grants at the quick one that are refreshed once each. */
export const crowd = { hanging: 100, fresh: 800 } as const;
