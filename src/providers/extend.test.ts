import { expect, test } from 'vitest';
import { builtInProvider } from './catalogue.ts';
import { checkOrigins } from './check-origins.ts';
import { parseProviderDefinition } from './parse.ts';
import { isPlace, placeHash } from './place.ts';
import { scopesOf } from './scope-table.ts';

function builtIn(id: string) {
  const definition = builtInProvider(id);
  if (definition === null) throw new Error(`no ${id}`);
  return definition;
}

test('a definition that extends another has its members, but not its id', () => {
  const mine = parseProviderDefinition({ id: 'mine', extends: 'zoho_books' });
  expect(mine).toEqual({ ...builtIn('zoho_books'), id: 'mine', extends: 'zoho_books' });
});

test('a member is replaced as a whole, and in api each member of its own', () => {
  const books = builtIn('zoho_books');
  const mine = parseProviderDefinition({
    id: 'mine',
    extends: 'zoho_books',
    refreshToken: { rotation: 'strict' },
    api: { health: { path: '/books/v3/users' } },
  });
  expect(mine.refreshToken).toMatchObject({ rotation: 'strict', livePerUserAndClient: null });
  expect(mine.api).toEqual({ ...books.api, health: { path: '/books/v3/users' } });
  expect(mine.endpoints).toEqual(books.endpoints);
});

test('its scope table is that of the other, unless it has one', async () => {
  const mine = parseProviderDefinition({ id: 'mine', extends: 'zoho_books' });
  expect(await scopesOf(mine)).toEqual(await scopesOf(builtIn('zoho_books')));
  const own = [{ name: 'read', words: 'Read' }];
  expect(await scopesOf(parseProviderDefinition({ id: 'mine', extends: 'zoho_books', scopes: own }))).toEqual(own);
});

test('its own hosts pass the rules of own definitions', () => {
  const withHost = (host: string) => parseProviderDefinition({ id: 'mine', extends: 'zoho', api: { hosts: [host] } });
  expect(() => checkOrigins(withHost('http://api.example.com'))).toThrow(/must be https/);
  expect(() => checkOrigins(withHost('https://10.0.0.1'))).toThrow(/private/);
  // The products of the other definition go to hosts that are no longer allowed.
  expect(() => checkOrigins(withHost('https://api.example.com'))).toThrow(/must be one of api\.hosts/);
});

test.each([
  [{ id: 'mine', extends: 'zoho_nothing' }, /no built-in provider has that id/],
  [{ id: 'mine', extends: 'another_of_mine' }, /no built-in provider has that id/],
  [{ id: 'zoho', extends: 'zoho' }, /extends itself/],
  [{ id: 'mine', extends: 7 }, /extends/],
  [{ id: 'mine', extends: 'zoho', unknown: 1 }, /unknown/i],
  [{ id: 'mine', extends: 'zoho', api: 'none' }, /api/],
  [{ extends: 'zoho' }, /at id/],
])('%j is refused', (input, reason) => {
  expect(() => parseProviderDefinition(input)).toThrow(reason);
});

test('what is resolved may be written again', () => {
  const mine = parseProviderDefinition({ id: 'mine', extends: 'zoho_desk', name: 'Ours' });
  expect(parseProviderDefinition(JSON.stringify(mine))).toEqual(mine);
});

/** Hashes that earlier builds noted for an app with these names. */
const noted: readonly (readonly [string, string])[] = [
  ['zoho', '42e7f55c940a2f10fd8d5b8f8f884c9bb27d496ec7922f760759e33fa6e50b3c'],
  ['zoho', 'f03ae3c92f1ea939ca44bc72b54cb3184b4bb950412636e4a5625a9a99a2f60d'],
  ['zoho_crm', '08e920c97b55b45a6eebc080ec05263d09482b1fbb2a2019da49f2b8395d2d5b'],
  ['zoho_creator', '1e3c5d33349b7f3e7751bd7eea958550a9f298b99db95ff6c299b6a6053fc2f9'],
  ['zoho_projects', '4ce981610fe8e664e1a2d5e589f17b055a0a06de36e20f67173cac9cb924d40f'],
  ['zoho_projects', 'a5982a9f598b104cc1c500bad42e7592f2a32ec8675fda4c677bf84ce9e82556'],
  ['zoho_workdrive', 'b01875b62534c084f62176d82a92c6024dde37221ec9518a7b49294d6b8ab095'],
  ['zoho_books', 'ba4551b9fc5f62e72b4c86c227b05ae6d002b6ba82dc54edde94759d6b6a1c34'],
];

test.each(noted)('a connection to %s that began under an earlier build ends (%s)', (id, hash) => {
  const app = { provider: id, client_id: '1000.TEST', context: 'ctx' };
  expect(isPlace(hash, builtIn(id), app)).toBe(true);
  expect(isPlace(hash, builtIn(id === 'zoho' ? 'zoho_mail' : 'zoho'), app)).toBe(false);
  expect(isPlace(placeHash(builtIn(id), app), builtIn(id), app)).toBe(true);
});
