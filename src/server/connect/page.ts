import { createHash } from 'node:crypto';

/** The content of a page. All of it is text, and is escaped here, once. */
export interface Page {
  readonly tone: 'plain' | 'good' | 'bad';
  readonly title: string;
  readonly text: string;
  /** Names and values under the text. */
  readonly facts?: readonly (readonly [string, string])[];
  /** A list that can be unfolded. */
  readonly list?: { readonly title: string; readonly items: readonly string[]; readonly open?: boolean };
  /** A button that posts to the address of the page. */
  readonly form?: { readonly button: string; readonly fields: Readonly<Record<string, string>> };
  /** A link to a path of this server. */
  readonly link?: { readonly text: string; readonly href: string };
  /** Small, at the end. */
  readonly note?: string;
}

const style = `
:root{--ground:#f3f4f7;--card:#fff;--ink:#171b24;--soft:#565f70;--line:#dde1e8;--accent:#2456c7;--on:#fff;--good:#0f7551;--bad:#b3261e;--well:#f6f7f9;--shade:0 1px 2px #1018280d,0 12px 32px -12px #10182829}
@media (prefers-color-scheme:dark){:root{--ground:#0f1217;--card:#181c24;--ink:#eceff4;--soft:#a6b0c0;--line:#2c3340;--accent:#8fb4ff;--on:#0c1a38;--good:#5cd0a3;--bad:#f5a097;--well:#1f2530;--shade:none}}
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0;min-height:100vh;min-height:100dvh;display:grid;place-items:center;padding:1.5rem 1rem;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{width:100%;max-width:27.5rem;padding:2.25rem 2rem 2rem;background:var(--card);border:1px solid var(--line);border-radius:14px;box-shadow:var(--shade)}
svg{display:block;width:44px;height:44px;margin:0 0 1.1rem;stroke:var(--accent);fill:none;stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round}
.good svg{stroke:var(--good)}.bad svg{stroke:var(--bad)}
h1{margin:0 0 .6rem;font-size:1.4rem;line-height:1.25;letter-spacing:-.01em;text-wrap:balance;overflow-wrap:anywhere}
p{margin:0;color:var(--soft);overflow-wrap:anywhere}
dl{margin:1.4rem 0 0;padding:.3rem 1rem;background:var(--well);border-radius:10px}
dl div{display:flex;justify-content:space-between;gap:1.5rem;padding:.55rem 0;border-bottom:1px solid var(--line)}
dl div:last-child{border-bottom:0}
dt{color:var(--soft);flex:none}
dd{margin:0;font-weight:600;text-align:right;overflow-wrap:anywhere;min-width:0}
details{margin:1rem 0 0}
summary{cursor:pointer;color:var(--soft);padding:.25rem 0;width:fit-content}
ul{margin:.4rem 0 0;padding:0;list-style:none}
li{padding:.2rem 0;font:.86rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
form{margin:1.6rem 0 0}
button,.way{display:block;width:100%;padding:.8rem 1.25rem;border:0;border-radius:10px;background:var(--accent);color:var(--on);font:inherit;font-weight:600;text-align:center;text-decoration:none;overflow-wrap:anywhere;cursor:pointer}
.way{margin:1.6rem 0 0}
button:hover,.way:hover{filter:brightness(1.08)}
:focus-visible{outline:3px solid var(--accent);outline-offset:3px}
.note{margin:1.4rem 0 0;padding:1.1rem 0 0;border-top:1px solid var(--line);font-size:.9rem}
@media (max-width:30rem){body{padding:0;place-items:stretch;background:var(--card)}main{max-width:none;border:0;border-radius:0;box-shadow:none;padding:2rem 1.35rem}}
`;

const styleHash = createHash('sha256').update(style).digest('base64');

const marks: Readonly<Record<Page['tone'], string>> = {
  plain:
    '<circle cx="12" cy="12" r="10"/><path d="M10.5 13.5l3-3M11.4 8.7l.8-.8a2.75 2.75 0 013.9 3.9l-.8.8M12.6 15.3l-.8.8a2.75 2.75 0 01-3.9-3.9l.8-.8"/>',
  good: '<circle cx="12" cy="12" r="10"/><path d="M7.5 12.4l3.1 3.1 5.9-6.5"/>',
  bad: '<circle cx="12" cy="12" r="10"/><path d="M12 7v6M12 16.6v.1"/>',
};

/**
 * Renders a page as HTML that loads nothing and runs no script.
 *
 * @param publicUrl decides where a form may lead: to the provider, and from there to the provider's sign-in
 */
export function pageResponse(
  page: Page,
  status: number,
  publicUrl: string,
  headers: Record<string, string> = {},
): Response {
  return new Response(renderPage(page), {
    status,
    headers: { ...pageHeaders(publicUrl), ...headers },
  });
}

/** Redirects with 303: 307 would send the form again (RFC 9700 section 4.12). */
export function seeOther(location: string, headers: Record<string, string> = {}): Response {
  return new Response(null, {
    status: 303,
    headers: { location, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', ...headers },
  });
}

/** Headers under which a browser only shows the page, in the page's own style. */
export function pageHeaders(publicUrl: string): Record<string, string> {
  // Browsers hold a form's whole chain of redirects to this list, and a provider may send its users to a sign-in of their own.
  const chain = publicUrl.startsWith('https:') ? 'https:' : 'https: http:';
  const policy = [
    "default-src 'none'",
    `style-src 'sha256-${styleHash}'`,
    `form-action 'self' ${chain}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ];
  return {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy.join('; '),
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=()',
    'x-robots-tag': 'noindex',
  };
}

export function renderPage(page: Page): string {
  const { tone, title, text, facts, list, form, link, note } = page;
  const parts = [
    `<svg viewBox="0 0 24 24" aria-hidden="true">${marks[tone]}</svg>`,
    `<h1>${escape(title)}</h1>`,
    `<p>${escape(text)}</p>`,
    facts === undefined ? '' : `<dl>${facts.map(fact).join('')}</dl>`,
    list === undefined || list.items.length === 0
      ? ''
      : `<details${list.open === true ? ' open' : ''}><summary>${escape(list.title)}</summary><ul>${list.items.map((item) => `<li>${escape(item)}</li>`).join('')}</ul></details>`,
    form === undefined
      ? ''
      : `<form method="post">${Object.entries(form.fields).map(field).join('')}<button>${escape(form.button)}</button></form>`,
    link === undefined ? '' : `<a class="way" href="${escape(link.href)}">${escape(link.text)}</a>`,
    note === undefined ? '' : `<p class="note">${escape(note)}</p>`,
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${style}</style>
</head>
<body>
<main class="${tone}">
${parts.filter((part) => part !== '').join('\n')}
</main>
</body>
</html>
`;
}

function fact([name, value]: readonly [string, string]): string {
  return `<div><dt>${escape(name)}</dt><dd>${escape(value)}</dd></div>`;
}

function field([name, value]: readonly [string, string]): string {
  return `<input type="hidden" name="${escape(name)}" value="${escape(value)}">`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}
