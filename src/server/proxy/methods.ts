/** The methods that the proxy passes on, as the API's description names them. */
export const proxyMethods = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options'] as const;
