import { zohoProducts } from '../../providers/built-in/zoho/products.ts';

/** Services in Zoho's scopes, in lower case: Zoho's own spelling varies. */
const serviceNames =
  'zohocrm zohobigin zohobooks zohoinvoice zohoinventory zohocalendar zohocreator zohoanalytics desk zohomail ' +
  'zohoprojects zohopc zohopeople zohorecruit zohocliq workdrive zohofiles zohosign zohocampaigns zohobookings ' +
  'zohobackstage zohocatalyst aaaserver zohosearch phonebridge';
const services = new Set([
  ...serviceNames.split(' '),
  ...Object.values(zohoProducts).map(({ scopePrefix }) => scopePrefix.toLowerCase()),
]);

/** Scopes of the definitions, some of which end with an operation of their own. */
const definedScopes = new Set(Object.values(zohoProducts).flatMap(({ health }) => health?.scope?.toLowerCase() ?? []));

const operations = new Set(['all', 'read', 'create', 'update', 'delete', 'write', 'custom', 'execute', 'rar']);
/** Operations that `WRITE` includes. */
const writes = new Set(['create', 'update', 'delete']);

/** Splits a scope parameter. Zoho's separator is the comma. */
export function splitScopes(text: string, spaces: 'accepted' | 'refused'): string[] {
  return text
    .split(spaces === 'accepted' ? /[\s,]+/ : ',')
    .map((scope) => scope.trim())
    .filter((scope) => scope !== '');
}

/** Tells whether Zoho knows this scope: `Service.family[.more].OPERATION`. */
export function isKnownScope(scope: string): boolean {
  const parts = scope.toLowerCase().split('.');
  const operation = parts.at(-1) ?? '';
  if (definedScopes.has(scope.toLowerCase())) return true;
  return (
    parts.length >= 3 &&
    services.has(parts[0] ?? '') &&
    parts.every((part) => /^[\w-]+$/.test(part)) &&
    operations.has(operation)
  );
}

/**
 * Tells whether a granted scope covers the wanted one: the same name or a name above it, and an operation that includes
 * the wanted operation. `fullaccess.all` covers its whole service.
 */
export function covers(granted: readonly string[], wanted: string): boolean {
  const want = wanted.toLowerCase().split('.');
  const operation = want.at(-1) ?? '';
  const name = want.slice(0, -1);
  return granted.some((scope) => {
    const have = scope.toLowerCase().split('.');
    const given = have.at(-1) ?? '';
    const path = have.slice(0, -1);
    if (path[0] !== name[0]) return false;
    if (path[1] === 'fullaccess') return true;
    const includes = given === 'all' || given === operation || (given === 'write' && writes.has(operation));
    return includes && path.length <= name.length && path.every((part, index) => part === name[index]);
  });
}
