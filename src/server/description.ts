import { describeRoutes } from './openapi.ts';
import { proxyShapes } from './proxy/shapes.ts';
import { routes } from './routes/index.ts';
import { openRoutes } from './routes/open.ts';

/** Writes the description of a server, as `/openapi.json` answers it and as the package holds a copy. */
export function describeServer(options: { readonly version: string; readonly publicUrl: string }): string {
  return JSON.stringify(describeRoutes([...routes, ...proxyShapes, ...openRoutes], options));
}
