/** The little of oidc-provider, which comes without types, that the tests use. */
declare module 'oidc-provider' {
  import type { RequestListener } from 'node:http';

  export class Provider {
    constructor(issuer: string, configuration: object);
    readonly AccessToken: { find(value: string): Promise<{ destroy(): Promise<void> } | undefined> };
    callback(): RequestListener;
  }
}
