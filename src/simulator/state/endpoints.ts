/** Kinds of request that a fault can select. */
export type Endpoint = 'authorize' | 'token' | 'revoke' | 'api' | 'device' | 'discovery';
