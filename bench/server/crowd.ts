/** Number of grants at the hanging provider, and at the quick one, where each is refreshed once. */
export const crowd = { hanging: 100, fresh: 800 } as const;
