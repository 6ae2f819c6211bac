/** `node scripts/draw-overview.ts`: draws docs/images/overview.svg, the picture at the top of the README. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';

export const overviewFile = 'docs/images/overview.svg';

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const programs = ['web application', 'nightly job', 'script or agent'];
const providers = ['Zoho', 'Google', 'Xero and others'];
const promises = ['one refresh for all callers', 'answers on disk before use', 'no valid token is withheld'];

/** The picture reads on light and on dark pages: its colours follow the reader's setting. */
const style = `
  text { font-family: system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; font-size: 15px; fill: #1f2733; }
  .heading { font-size: 13px; letter-spacing: .06em; fill: #5b6675; }
  .name { font-size: 22px; font-weight: 650; }
  .small { font-size: 13px; fill: #5b6675; }
  .box { fill: #f4f6f9; stroke: #b9c2ce; }
  .vault { fill: #eaf3ee; stroke: #2f7d5b; stroke-width: 2; }
  .arrow { stroke: #5b6675; stroke-width: 1.6; fill: none; }
  .head { fill: #5b6675; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6eaf0; }
    .heading, .small { fill: #a3aebd; }
    .box { fill: #1c232d; stroke: #46505e; }
    .vault { fill: #14281f; stroke: #4fae84; }
    .arrow { stroke: #a3aebd; }
    .head { fill: #a3aebd; }
  }`;

/** Draws the picture. */
export function overview(): string {
  const parts = [
    ...column('YOUR PROGRAMS', 20, programs),
    ...column('PROVIDERS', 740, providers),
    ...vault({ x: 330, y: 52, width: 280, height: 186 }),
    ...exchange(200, 324, { ask: 'token for acme?', answer: 'access token' }),
    ...exchange(616, 734, { ask: 'refresh, once', answer: 'new tokens' }),
    ...stores(),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 940 330" width="940" height="330" role="img" aria-labelledby="title">
  <title id="title">Programs ask Grantry for access tokens. Grantry refreshes them at the providers and keeps them sealed in a database; the root key is outside of it.</title>
  <defs>
    <marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">
      <path class="head" d="M0 0 8 4 0 8z"/>
    </marker>
  </defs>
  <style>${style}
  </style>
${parts.map((part) => `  ${part}`).join('\n')}
</svg>
`;
}

function column(heading: string, x: number, names: readonly string[]): string[] {
  return [
    `<text class="heading" x="${x}" y="40">${heading}</text>`,
    ...names.flatMap((name, index) => {
      const box = { x, y: 52 + index * 66, width: 180, height: 54 };
      return [rectangle('box', box), `<text x="${x + 90}" y="${box.y + 33}" text-anchor="middle">${name}</text>`];
    }),
  ];
}

function vault(box: Box): string[] {
  return [
    rectangle('vault', box),
    `<text class="name" x="${box.x + 140}" y="${box.y + 42}" text-anchor="middle">Grantry</text>`,
    `<text class="small" x="${box.x + 140}" y="${box.y + 66}" text-anchor="middle">library, command line or server</text>`,
    ...promises.map(
      (text, index) => `<text x="${box.x + 140}" y="${box.y + 104 + index * 28}" text-anchor="middle">${text}</text>`,
    ),
  ];
}

/** A question to the right and its answer to the left. */
function exchange(from: number, to: number, says: { ask: string; answer: string }): string[] {
  const middle = (from + to) / 2;
  return [
    `<text class="small" x="${middle}" y="118" text-anchor="middle">${says.ask}</text>`,
    arrow(`M${from + 6} 128H${to - 6}`),
    arrow(`M${to - 6} 158H${from + 6}`),
    `<text class="small" x="${middle}" y="178" text-anchor="middle">${says.answer}</text>`,
  ];
}

function stores(): string[] {
  const database = { x: 330, y: 272, width: 166, height: 44 };
  const key = { x: 510, y: 272, width: 100, height: 44 };
  return [
    rectangle('box', database),
    rectangle('box', key),
    arrow('M413 242V268'),
    arrow('M560 268V242'),
    `<text class="small" x="413" y="299" text-anchor="middle">sealed tokens</text>`,
    `<text class="small" x="560" y="299" text-anchor="middle">root key</text>`,
  ];
}

function rectangle(name: string, { x, y, width, height }: Box): string {
  return `<rect class="${name}" x="${x}" y="${y}" width="${width}" height="${height}" rx="8"/>`;
}

function arrow(line: string): string {
  return `<path class="arrow" d="${line}" marker-end="url(#head)"/>`;
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(path.resolve(import.meta.dirname, '..', overviewFile), overview());
}
