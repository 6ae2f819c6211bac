interface Cookie {
  readonly name: string;
  readonly value: string;
  readonly path: string;
}

/** A browser whose user signs in and consents on every page that asks. */
export class Browser {
  readonly #cookies = new Map<string, Cookie>();

  /** Opens an address, fills in every form, presses its first button, and resolves to the address at which the browser leaves for the client. */
  async signIn(address: string, redirectUri: string): Promise<string> {
    let here = new URL(address);
    let form: URLSearchParams | null = null;
    for (let pages = 0; pages < 20; pages += 1) {
      const response = await this.#request(here, form);
      const location = response.headers.get('location');
      if (location !== null) {
        const next = new URL(location, here);
        if (`${next.origin}${next.pathname}` === redirectUri) return next.href;
        [here, form] = [next, null];
        continue;
      }
      const page = await response.text();
      const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1];
      if (response.status !== 200 || action === undefined) {
        throw new Error(`the browser stays at ${here.pathname} with status ${response.status}`);
      }
      [here, form] = [new URL(action, here), filledIn(page)];
    }
    throw new Error('the pages have no end');
  }

  async #request(url: URL, form: URLSearchParams | null): Promise<Response> {
    const sent = [...this.#cookies.values()].filter(({ path }) => url.pathname.startsWith(path));
    const response = await fetch(url, {
      method: form === null ? 'GET' : 'POST',
      body: form,
      redirect: 'manual',
      headers: { cookie: sent.map(({ name, value }) => `${name}=${value}`).join('; ') },
    });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    return response;
  }

  #keep(line: string): void {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    const path = /; *path=([^;]*)/i.exec(line)?.[1] ?? '/';
    const expired = /; *expires=([^;]*)/i.exec(line)?.[1];
    if (expired !== undefined && Date.parse(expired) <= Date.now()) this.#cookies.delete(`${path} ${name}`);
    else this.#cookies.set(`${path} ${name}`, { name, value, path });
  }
}

function filledIn(page: string): URLSearchParams {
  const form = new URLSearchParams();
  for (const [input] of page.matchAll(/<input[^>]*>/g)) {
    const name = / name="([^"]*)"/.exec(input)?.[1];
    if (name !== undefined) form.set(name, / value="([^"]*)"/.exec(input)?.[1] ?? 'alice');
  }
  const [, name, value] = /<button[^>]* name="([^"]*)" value="([^"]*)"/.exec(page) ?? [];
  if (name !== undefined && value !== undefined) form.set(name, value);
  return form;
}
