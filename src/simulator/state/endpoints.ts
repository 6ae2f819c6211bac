/** The kinds of request that a fault can be aimed at. */
export type Endpoint = 'authorize' | 'token' | 'revoke' | 'api' | 'device' | 'discovery';
