import { createHash } from 'node:crypto';

/** What a browser shows when it comes back from the provider. */
export interface CallbackPage {
  readonly good: boolean;
  readonly title: string;
  readonly text: string;
}

const style = `
:root { --ground: #f5f6f8; --card: #fff; --ink: #1b1f27; --soft: #5a6272; --line: #dfe3ea; --good: #12805c; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #12151b; --card: #1b2029; --ink: #eceff4; --soft: #a3adbf; --line: #2d3440; --good: #4cc79a; --bad: #f2998f; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { width: 100%; max-width: 27rem; padding: 2rem; background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
svg { display: block; width: 44px; height: 44px; margin-bottom: 1rem; stroke: var(--bad); fill: none; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
.good svg { stroke: var(--good); }
h1 { margin: 0 0 .5rem; font-size: 1.35rem; line-height: 1.3; text-wrap: balance; }
p { margin: 0; color: var(--soft); overflow-wrap: anywhere; }
`;

/** What a browser may do with the page: show it in this style, and nothing else. */
export const pagePolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The page as HTML: whole in itself, in light and dark, on a phone too. */
export function callbackPage(page: CallbackPage): string {
  const mark = page.good ? '<path d="M7 12.5l3.5 3.5L17 9"/>' : '<path d="M12 7v6M12 16.5v.5"/>';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${escape(page.title)} · Grantry</title>
<style>${style}</style>
</head>
<body>
<main class="${page.good ? 'good' : 'bad'}">
<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="10"/>${mark}</svg>
<h1>${escape(page.title)}</h1>
<p>${escape(page.text)}</p>
</main>
</body>
</html>
`;
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
