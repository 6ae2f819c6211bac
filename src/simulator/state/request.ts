import type { Site } from './sites.ts';

export const endpoints = ['authorize', 'token', 'revoke', 'api', 'device', 'discovery'] as const;
/**
 * Kinds of request that a fault can select.
 *
 * @useDeclaredType
 */
export type Endpoint = (typeof endpoints)[number];

/** A request whose body has been read, so that the server can answer it in one synchronous step. */
export interface Incoming {
  readonly site: Site;
  readonly endpoint: Endpoint | null;
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  readonly query: URLSearchParams;
  /** Fields of the body, in either form encoding. */
  readonly form: URLSearchParams;
  /** Query and body fields together; body fields take precedence. */
  readonly parameters: URLSearchParams;
  readonly bodyText: string;
  /** Client id from HTTP Basic or the fields. */
  readonly clientId: string | null;
  readonly clientSecret: string | null;
  /** Set when the client's credentials came by HTTP Basic. */
  readonly basic: boolean;
}

/** Larger bodies are cut: no endpoint needs more. */
const bodyBytesMax = 1_048_576;

/** Reads a request as a server would. */
export async function readRequest(
  request: Request,
  url: URL,
  site: Site,
  endpoint: Endpoint | null,
): Promise<Incoming> {
  const contentType = request.headers.get('content-type') ?? '';
  const { form, bodyText } = await readBody(request, contentType);
  const parameters = new URLSearchParams(url.search);
  for (const name of new Set(form.keys())) parameters.delete(name);
  for (const [name, value] of form) parameters.append(name, value);
  const basic = readBasic(request.headers.get('authorization'));
  return {
    site,
    endpoint,
    method: request.method,
    url,
    headers: request.headers,
    query: url.searchParams,
    form,
    parameters,
    bodyText,
    clientId: basic?.clientId ?? parameters.get('client_id'),
    clientSecret: basic?.clientSecret ?? parameters.get('client_secret'),
    basic: basic !== null,
  };
}

async function readBody(request: Request, contentType: string): Promise<{ form: URLSearchParams; bodyText: string }> {
  if (request.body === null) return { form: new URLSearchParams(), bodyText: '' };
  const bytes = new Uint8Array(await request.arrayBuffer()).subarray(0, bodyBytesMax);
  if (/^multipart\/form-data\b/i.test(contentType))
    return { form: await readMultipart(bytes, contentType), bodyText: '' };
  const bodyText = new TextDecoder().decode(bytes);
  const isForm = /^application\/x-www-form-urlencoded\b/i.test(contentType);
  return { form: new URLSearchParams(isForm ? bodyText : ''), bodyText };
}

async function readMultipart(bytes: Uint8Array<ArrayBuffer>, contentType: string): Promise<URLSearchParams> {
  const form = new URLSearchParams();
  try {
    const fields = await new Response(bytes, { headers: { 'content-type': contentType } }).formData();
    for (const [name, value] of fields) if (typeof value === 'string') form.append(name, value);
  } catch {
    // A body that is not multipart has no fields; the endpoint then reports a missing one.
  }
  return form;
}

/** Decodes HTTP Basic (RFC 6749 section 2.3.1): both parts are form-encoded before they are joined. */
function readBasic(header: string | null): { clientId: string; clientSecret: string } | null {
  const encoded = /^Basic\s+([A-Za-z0-9+/=_-]+)$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return null;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0) return null;
  return { clientId: formDecode(text.slice(0, colon)), clientSecret: formDecode(text.slice(colon + 1)) };
}

function formDecode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}
