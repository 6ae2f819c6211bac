import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { newRandomText } from '../base/ids.ts';
import type { World } from '../base/world.ts';
import { type Page, pageHeaders, renderPage } from '../server/connect/page.ts';
import { isOfOtherUser } from './peer.ts';

/**
 * Tries to open a browser, and ignores a failure: the URL is on the terminal as well. Every user of the machine can read
 * the arguments of a program, and the URL carries the state of the connection. So the browser gets an address of this
 * process, which leads to the URL once.
 *
 * @param open starts a browser; for tests
 */
export async function openBrowser(world: World, url: string, open: (address: string) => void = spawnBrowser) {
  const path = `/${newRandomText(world)}`;
  let used = false;
  const server = createServer((request, response) => {
    const show = (status: number, page: Page): void => {
      response.writeHead(status, { ...pageHeaders('https:'), Connection: 'close' });
      response.end(renderPage(page));
    };
    if (request.method !== 'GET' || request.url !== path || isOfOtherUser(request.socket))
      return show(404, { tone: 'bad', title: 'Nothing here', text: 'This page only leads to the provider.' });
    if (used) return show(410, usedPage);
    used = true;
    response.writeHead(303, {
      Location: url,
      'Cache-Control': 'no-store',
      'Referrer-Policy': 'no-referrer',
      Connection: 'close',
    });
    return response.end();
  });
  try {
    await once(server.listen({ host: '127.0.0.1', port: 0 }), 'listening');
  } catch {
    return;
  }
  server.unref();
  const address = server.address();
  if (typeof address === 'object' && address !== null) open(`http://127.0.0.1:${address.port}${path}`);
}

const usedPage: Page = {
  tone: 'bad',
  title: 'Used already',
  text: 'This address works once. Open the URL that the terminal shows.',
};

function spawnBrowser(address: string): void {
  const [program, ...args] = opener();
  const child = spawn(program, [...args, address], { stdio: 'ignore', detached: true });
  child.on('error', () => {});
  child.unref();
}

function opener(): readonly [string, ...string[]] {
  if (process.platform === 'darwin') return ['open'];
  if (process.platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler'];
  return ['xdg-open'];
}
