/** The facts of a request that logs and metrics may use: neither its path, nor its query, nor its headers. */
export interface RequestNote {
  readonly method: string;
  readonly startedAt: number;
  /** The template of the route, such as `/v1/apps/{app}`; `none` for a path without a route. */
  route: string;
  /** The API key's id, once it was checked. */
  key: string | null;
  tenant: string | null;
}
