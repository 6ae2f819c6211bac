/** What is known of a request that is being answered; its path, its query and its headers are not among it. */
export interface RequestNote {
  readonly method: string;
  readonly startedAt: number;
  /** The template of the route, such as `/v1/apps/{app}`; `none` for a path that nothing serves. */
  route: string;
  /** The API key's id, once it was checked. */
  key: string | null;
  tenant: string | null;
}
