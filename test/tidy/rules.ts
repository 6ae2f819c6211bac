/**
 * The rules of the house that no linter knows, as functions of one file's path and text. `tidy.test.ts` applies them to
 * the repository, `rules.test.ts` plants a violation of each.
 */
import path from 'node:path';

import { parseAst } from 'rolldown/parseAst';

import { revealDoors } from './reveal-doors.ts';

/** The rooms of `src/` that each room may import. Arrows point down, never up or sideways. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  audit: ['base'],
  leaks: ['base'],
  crypto: ['base'],
  storage: ['base'],
  providers: ['base'],
  schemas: ['base', 'providers'],
  oauth: ['base', 'providers'],
  vault: ['base', 'crypto', 'storage', 'audit', 'providers', 'oauth', 'schemas'],
  workers: ['base', 'vault'],
  server: ['base', 'audit', 'vault', 'workers', 'providers', 'schemas'],
  cli: [
    'base',
    'audit',
    'crypto',
    'storage',
    'audit',
    'providers',
    'schemas',
    'oauth',
    'vault',
    'workers',
    'server',
    'simulator',
    'client',
    'leaks',
  ],
  client: ['base', 'audit', 'providers', 'schemas', 'vault'],
  simulator: ['base', 'providers'],
  adapters: ['base', 'providers', 'vault', 'client', 'leaks'],
};

/**
 * The inner walls: the floors of a room, lowest first. A file may import from its own folder and from lower floors. The
 * names are folders or files, as seen from the room. The longest name that fits counts: a folder in a folder may have a
 * floor of its own. A file that no floor names stands on the floor `.`.
 */
const floors: Readonly<Record<string, readonly (readonly string[])[]>> = {
  vault: [
    ['guard', 'spool'],
    ['.'],
    ['app', 'key', 'audit'],
    ['grant/account.ts'],
    ['grant/slots'],
    ['grant'],
    ['grant/put'],
    ['grant/put-authorization.ts', 'grant/store-tokens.ts', 'grant/stored-before.ts'],
    ['organization'],
    ['refresh', 'connect', 'take-over'],
    ['hand-out'],
    ['api'],
    ['internals.ts'],
    ['upkeep', 'drop-in', 'import'],
    ['open.ts', 'vault.ts', 'disconnect.ts', 'api-keys.ts', 'child-keys.ts'],
  ],
  storage: [['.'], ['engine'], ['store.ts'], ['statements'], ['statements/slots'], ['migrations'], ['take-over']],
  // Two rules of the room read data of Zoho: the scopes of products, and the forms of earlier definitions.
  providers: [
    ['definition.ts'],
    ['built-in/zoho/earlier.ts', 'built-in/zoho/scopes'],
    ['.'],
    ['built-in/define.ts', 'built-in/zoho/product.ts', 'built-in/zoho/data-centers.ts'],
    ['built-in/zoho/products'],
    ['built-in/zoho', 'built-in'],
    ['catalogue.ts'],
  ],
  server: [
    ['telemetry', 'problem.ts'],
    ['limits'],
    ['.'],
    ['connect', 'proxy', 'tokens'],
    ['openapi.ts'],
    ['routes'],
    ['description.ts', 'handler.ts', 'index.ts', 'server.ts', 'start-page.ts', 'status-routes.ts', 'vault-holder.ts'],
  ],
  simulator: [['state'], ['http'], ['zoho', 'oauth'], ['.'], ['control'], ['server.ts', 'index.ts']],
  base: [['.'], ['network'], ['system-world.ts']],
  adapters: [['drizzle', 'zoho', 'zoho-sdk'], ['.']],
  // The desk puts commands together, and other commands use the desk.
  cli: [
    ['terminal'],
    ['desk/tenant-file.ts'],
    ['.'],
    ['audit', 'import', 'doctor', 'scan'],
    ['commands/app.ts', 'commands/connect.ts', 'commands/list.ts'],
    ['desk'],
    ['desk/health', 'desk/onboard'],
    ['commands'],
    ['main.ts', 'program.ts'],
  ],
};

/** The houses around `src/`, lowest first: each may import what stands before it. */
const houses = ['src', 'test/support', 'scripts', 'lab', 'bench', 'test'] as const;

/** Packages and built-in modules that only these rooms or files may touch. */
const guardedModules: Readonly<Record<string, readonly string[]>> = {
  'node:sqlite': ['src/storage/'],
  pg: ['src/storage/'],
  kysely: ['src/storage/'],
  oauth4webapi: ['src/oauth/'],
  undici: ['src/base/network/outbound.ts', 'src/base/network/guarded-connector.ts'],
  commander: ['src/cli/'],
  'node:timers': ['src/base/system-world.ts'],
  'node:timers/promises': ['src/base/system-world.ts'],
};

/** Calls and members of globals that only the world may use. */
const worldCalls = new Set([
  'Date.now',
  'performance.now',
  'Math.random',
  'process.hrtime',
  'process.hrtime.bigint',
  'crypto.getRandomValues',
  'crypto.randomUUID',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'fetch',
  'globalThis.fetch',
  'randomBytes',
  'randomUUID',
  'randomFillSync',
  'randomInt',
]);

/** Statements that write, by the builder's words. */
const writeWords = new Set(['insertInto', 'updateTable', 'deleteFrom', 'replaceInto', 'mergeInto']);

/** The only file of the vault that opens a transaction: the door for writes. */
const writeDoor = 'src/vault/changing.ts';

/** The world itself, its network, and the make-believe world's default clock. */
const worldFiles: Readonly<Record<string, string>> = {
  'src/base/system-world.ts': 'the world',
  'src/base/network/outbound.ts': 'the world’s network',
  'src/simulator/state/clock.ts': 'the simulator’s default clock and dice',
};

// Spelled so that this file does not find itself.
const leftovers = /\b(?:TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b/;
const foreignPaths = /(?:^|[\s"'`(=:])\/(?:home|root|Users|work|workspace|mnt)\/\w/m;

export interface Import {
  specifier: string;
  typeOnly: boolean;
  /** Loaded by `import()` when a call needs it. */
  later: boolean;
}

/** Everything that is wrong with one file, each as a sentence. */
export function violations(file: string, text: string): string[] {
  const found = [...textViolations(text)];
  if (!file.endsWith('.ts') || file.endsWith('.d.ts')) return found;
  const tree = parse(file, text);
  const shipped = file.startsWith('src/') && !isTest(file);
  found.push(...wallViolations(file, importsIn(tree)));
  visit(tree, (node, parents) => {
    if (!shipped) return;
    found.push(...worldViolations(file, text, node), ...revealViolations(file, text, node));
    found.push(...writeViolations(file, text, node));
    if (node.type === 'TSAsExpression') found.push(...castViolations(text, node, parents));
  });
  return found;
}

function textViolations(text: string): string[] {
  const found: string[] = [];
  const leftover = leftovers.exec(text);
  if (leftover) found.push(`a left-over ${leftover[0]}`);
  const foreign = foreignPaths.exec(text);
  if (foreign) found.push(`a path outside the project: ${foreign[0].trim()}…`);
  return found;
}

/** The modules a file imports, exports from, or loads later. */
export function importsOf(file: string, text: string): Import[] {
  return importsIn(parse(file, text));
}

function importsIn(tree: Node): Import[] {
  const found: Import[] = [];
  visit(tree, (node) => {
    const typeOnly = node['importKind'] === 'type' || node['exportKind'] === 'type' || node.type === 'TSImportType';
    const source = node['source'];
    if (!isNode(source) || typeof source['value'] !== 'string') return;
    found.push({ specifier: source['value'], typeOnly, later: node.type === 'ImportExpression' });
  });
  return found;
}

function wallViolations(file: string, imports: Import[]): string[] {
  if (!file.startsWith('src/')) return houseViolations(file, imports);
  const room = roomOf(file);
  const found: string[] = [];
  for (const { specifier } of imports) {
    const guards = guardedModules[specifier];
    if (guards && !isTest(file) && !guards.some((guard) => file.startsWith(guard))) {
      found.push(`imports ${specifier}, which belongs to ${guards.join(', ')}`);
    }
    if (!specifier.startsWith('.')) continue;
    if (!/\.(?:ts|json)$/.test(specifier)) found.push(`imports ${specifier} without its ending`);
    const target = path.posix.join(path.posix.dirname(file), specifier);
    // Tests stand beside their subject and may use what is shared by tests.
    if (isTest(file) && target.startsWith('test/support/')) continue;
    if (!target.startsWith('src/')) found.push(`imports ${specifier}, outside src/`);
    else if (!doorIsOpen(room, target, isTest(file))) found.push(`imports ${specifier}: no door from ${room} there`);
    else if (!isTest(file) && !stairsLeadDown(file, target))
      found.push(`imports ${specifier}: a higher floor of ${room}`);
  }
  return found;
}

/** Within one room, imports lead to the same folder or to a lower floor. */
function stairsLeadDown(file: string, target: string): boolean {
  const room = roomOf(file);
  if (room !== roomOf(target) || path.posix.dirname(file) === path.posix.dirname(target)) return true;
  return floorOf(room, target) < floorOf(room, file);
}

function floorOf(room: string, file: string): number {
  const parts = file.slice(`src/${room}/`.length).split('/');
  const plan = floors[room] ?? [];
  for (let length = parts.length; length > 0; length -= 1) {
    const floor = plan.findIndex((names) => names.includes(parts.slice(0, length).join('/')));
    if (floor >= 0) return floor;
  }
  return plan.findIndex((names) => names.includes('.'));
}

/** Around `src/`: a laboratory may use the scripts, a script may not use a laboratory. */
function houseViolations(file: string, imports: Import[]): string[] {
  const from = houseOf(file);
  if (from < 0) return [];
  return imports
    .filter(({ specifier }) => specifier.startsWith('.'))
    .filter(({ specifier }) => houseOf(path.posix.join(path.posix.dirname(file), specifier)) > from)
    .map(({ specifier }) => `imports ${specifier}: ${houses[from]} stands below it`);
}

function houseOf(file: string): number {
  return houses.findLastIndex(
    (house) => file.startsWith(`${house}/`) && (house !== 'test' || !file.startsWith('test/support/')),
  );
}

function doorIsOpen(room: string, target: string, test: boolean): boolean {
  const other = roomOf(target);
  if (other === room) return true;
  // The front door names what the house offers; only the porch uses it from inside.
  if (room === '') return true;
  if (other === '' && (room === 'adapters' || room === 'cli')) return true;
  if (mayImport[room]?.includes(other)) return true;
  // A test sees everything below its room, the front door, and the simulated providers.
  return test && (other === 'simulator' || other === '' || room === 'adapters' || below(room).has(other));
}

/** Every room that a room reaches through others. */
function below(room: string, reached = new Set<string>()): ReadonlySet<string> {
  for (const next of mayImport[room] ?? []) {
    if (!reached.has(next)) below(next, reached.add(next));
  }
  return reached;
}

/** The folder of `src/` a file is in; empty for `src/index.ts` and its neighbours. */
function roomOf(file: string): string {
  const parts = file.split('/');
  return parts.length > 2 ? (parts[1] ?? '') : '';
}

function worldViolations(file: string, text: string, node: Node): string[] {
  if (worldFiles[file] !== undefined) return [];
  if (node.type === 'NewExpression' && nameOf(node['callee']) === 'Date' && isEmpty(node['arguments'])) {
    return [`line ${lineOf(text, node)}: new Date() reads the clock, which belongs to the world`];
  }
  const called = node.type === 'CallExpression' && isNode(node['callee']) && node['callee'].type === 'Identifier';
  // A member counts in every place: `const now = Date.now` is a clock as well.
  const name = called ? nameOf(node['callee']) : node.type === 'MemberExpression' ? nameOf(node) : '';
  return worldCalls.has(name) ? [`line ${lineOf(text, node)}: ${name}() belongs to the world`] : [];
}

function revealViolations(file: string, text: string, node: Node): string[] {
  if (node.type !== 'CallExpression' || revealDoors[file] !== undefined) return [];
  const callee = node['callee'];
  if (!isNode(callee) || callee.type !== 'MemberExpression' || nameOf(callee['property']) !== 'reveal') return [];
  return [`line ${lineOf(text, node)}: reveal() outside the doors listed in test/tidy/reveal-doors.ts`];
}

/** Writes stand in storage, in statements that take a transaction which may write; the vault opens one in `changing`. */
function writeViolations(file: string, text: string, node: Node): string[] {
  const word = node.type === 'MemberExpression' ? nameOf(node['property']) : '';
  const line = lineOf(text, node);
  if (!file.startsWith('src/storage/')) {
    if (writeWords.has(word)) return [`line ${line}: ${word}() writes past the door of changing()`];
    const opens = word === 'transaction' && file !== writeDoor;
    return opens ? [`line ${line}: only ${writeDoor} opens a transaction`] : [];
  }
  const isStatement = /^src\/storage\/(?:statements|take-over)\//.test(file);
  const isWhole = isStatement && node.type === 'TSTypeReference' && nameOf(node['typeName']) === 'Kysely';
  return isWhole ? [`line ${line}: a statement takes a Reader or a WriteTx, not a whole Kysely`] : [];
}

/** `as` wants its reason beside it: a comment on its line or up to three lines above. `as const` asserts nothing. */
function castViolations(text: string, node: Node, parents: readonly Node[]): string[] {
  if (text.slice(node.start, node.end).endsWith('as const')) return [];
  // `x as unknown as T` is one assertion.
  if (parents.at(-1)?.type === 'TSAsExpression') return [];
  const line = lineOf(text, node);
  const last = text.slice(0, node.end).split('\n').length;
  const near = text.split('\n').slice(Math.max(0, line - 4), last);
  return near.some((each) => /\/\/|^\s*\/?\*/.test(each)) ? [] : [`line ${line}: "as" without its reason in a comment`];
}

export function isTest(file: string): boolean {
  return file.endsWith('.test.ts') || file.startsWith('test/');
}

export interface Node {
  type: string;
  start: number;
  end: number;
  [field: string]: unknown;
}

export function parse(file: string, text: string): Node {
  const tree: unknown = parseAst(text, { lang: 'ts', sourceType: 'module' }, file);
  if (!isNode(tree)) throw new TypeError(`${file} does not parse`);
  return tree;
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

export function visit(
  node: Node,
  look: (node: Node, parents: readonly Node[]) => void,
  parents: readonly Node[] = [],
): void {
  look(node, parents);
  const inside = [...parents, node];
  for (const field of Object.values(node)) {
    for (const child of Array.isArray(field) ? field : [field]) if (isNode(child)) visit(child, look, inside);
  }
}

/** `a.b.c` of a chain of names; empty for anything else. */
function nameOf(node: unknown): string {
  if (!isNode(node)) return '';
  if (node.type === 'Identifier' && typeof node['name'] === 'string') return node['name'];
  if (node.type !== 'MemberExpression' || node['computed'] === true) return '';
  const object = nameOf(node['object']);
  return object === '' ? '' : `${object}.${nameOf(node['property'])}`;
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function lineOf(text: string, node: Node): number {
  return text.slice(0, node.start).split('\n').length;
}
