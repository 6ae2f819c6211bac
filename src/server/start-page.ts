import type { Hono } from 'hono';
import { pageResponse } from './connect/page.ts';

/** Shows a person who opens the server's address what is there. Programs get the usual 404. */
export function mountStartPage(app: Hono, { version, publicUrl }: { version: string; publicUrl: string }): void {
  const prefix = new URL(publicUrl).pathname.replace(/\/$/, '');
  app.get('/', (request, next) => {
    if (!/\btext\/html\b/i.test(request.req.header('accept') ?? '')) return next();
    const page = {
      tone: 'plain',
      title: 'Grantry',
      text: 'This server keeps OAuth grants and hands out tokens. Programs talk to it with an API key, and people only see connect pages.',
      facts: [['Version', version]],
      link: { text: 'The interface, as OpenAPI', href: `${prefix}/openapi.json` },
      note: 'The project’s docs/server.md explains it. Were you to connect an account? Then open the whole link that you were sent.',
    } as const;
    return Promise.resolve(pageResponse(page, 200, publicUrl));
  });
}
