import { createReadStream, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as typescriptSdk from '@zohocrm/typescript-sdk-8.0';
import { describe, expect, it } from 'vitest';
import { type ZohoStage, zohoStage } from '../../test/support/zoho-stage.ts';
import type { World } from '../base/world.ts';
import { createClient } from '../client/index.ts';
import { initializeZohoSdk, withTenant, type ZohoCrmSdk } from './zoho-sdk.ts';

// The other package has no types. What is used here is in both.
const nodeSdkName = '@zohocrm/nodejs-sdk-8.0';
const nodeSdk: typeof typescriptSdk & ZohoCrmSdk = await import(nodeSdkName);

const provider = 'zoho_crm';
const key = (tenant: string) => ({ tenant, provider });

interface Sent {
  readonly url: string;
  readonly contentType: string | null;
  readonly body: string;
}

/** A Zoho that knows the fields of modules, which the SDK asks for before it touches a record. */
async function setTheStage(sent: Sent[] = []): Promise<ZohoStage> {
  const around =
    (send: World['fetch']): World['fetch'] =>
    async (url, init) => {
      const { host, pathname } = new URL(url);
      const bytes = init.body instanceof Uint8Array ? Buffer.from(init.body).toString('latin1') : '';
      const body = typeof init.body === 'string' ? init.body : bytes;
      if (!pathname.startsWith('/oauth/')) {
        sent.push({ url, contentType: new Headers(init.headers).get('content-type'), body });
      }
      if (pathname.endsWith('/settings/fields')) return Response.json({ fields: [fieldOf(host)] });
      if (pathname.endsWith('/upload')) return Response.json({ status: 'success', code: 'FILE_UPLOAD_SUCCESS' });
      return send(url, init);
    };
  const stage = await zohoStage({}, around);
  await stage.connect(provider, 'us', 'eu');
  return stage;
}

/** In one organisation the field is a text, in the other a number. */
function fieldOf(host: string) {
  const type = host.endsWith('.eu') ? 'integer' : 'text';
  return { api_name: 'Size', data_type: type, json_type: type === 'text' ? 'string' : 'integer', id: '1' };
}

describe.each([
  ['the TypeScript SDK', typescriptSdk],
  ['the Node.js SDK', nodeSdk],
])('%s', (_name, sdk) => {
  async function company(): Promise<string> {
    const response = await new sdk.Org.OrgOperations().getOrganization();
    const answer = response.getObject();
    if (!(answer instanceof sdk.Org.ResponseWrapper)) throw new Error(`status ${response.getStatusCode()}`);
    return answer.getOrg()[0]?.getCompanyName() ?? '';
  }

  it('serves two tenants of two data centres at once, each its own company', async () => {
    await using stage = await setTheStage();
    await initializeZohoSdk(sdk, stage.vault, { resourcePath: join(stage.home, 'fields') });
    const call = (_: unknown, index: number) => {
      const tenant = index % 2 === 0 ? 'us' : 'eu';
      return withTenant(key(tenant), async () => `${tenant}: ${await company()}`);
    };
    const answers = await Promise.all(Array.from({ length: 20 }, call));
    expect(new Set(answers)).toEqual(new Set(['us: Example Company US', 'eu: Example Company EU']));
    expect(stage.simulator.history.events().filter((event) => event.kind === 'token')).toHaveLength(2);
  });

  it('refreshes once for ten calls after a token died', async () => {
    await using stage = await setTheStage();
    await initializeZohoSdk(sdk, stage.vault, { resourcePath: join(stage.home, 'fields') });
    const token = await stage.vault.getAccessToken(key('us'));
    stage.simulator.killAccessToken(token.accessToken);
    const calls = Array.from({ length: 10 }, () => withTenant(key('us'), company));
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['Example Company US']));
    expect((await stage.vault.grants.get(key('us')))?.generation).toBe(token.generation + 1);
  });

  it('says what is wrong outside of withTenant, and for a tenant without a grant', async () => {
    await using stage = await setTheStage();
    await initializeZohoSdk(sdk, stage.vault, { resourcePath: join(stage.home, 'fields') });
    await expect(company()).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/for no tenant\. Call it inside withTenant/),
    });
    const absent = withTenant(key('absent'), company);
    await expect(absent).rejects.toBeInstanceOf(sdk.SDKException);
    await expect(absent).rejects.toMatchObject({ code: 'grant_not_found', cause: { name: 'GrantryError' } });
    expect(() => withTenant({ tenant: 'not a name', provider }, company)).toThrow('not valid');
  });

  it('keeps the fields of each tenant in a file of its own', async () => {
    await using stage = await setTheStage();
    const resourcePath = join(stage.home, 'fields');
    await initializeZohoSdk(sdk, stage.vault, { resourcePath });
    const write = async (size: unknown) => {
      const record = new sdk.Record.Record();
      record.addKeyValue('Size', size);
      const body = new sdk.Record.BodyWrapper();
      body.setData([record]);
      const headers = new sdk.HeaderMap();
      return (await new sdk.Record.RecordOperations('Leads').createRecords(body, headers)).getStatusCode();
    };
    expect(await withTenant(key('us'), () => write('large'))).toBe(201);
    expect(await withTenant(key('eu'), () => write(42))).toBe(201);
    await expect(withTenant(key('eu'), () => write('large'))).rejects.toBeInstanceOf(sdk.SDKException);
    expect(readdirSync(join(resourcePath, 'resources'))).toHaveLength(2);
  });

  it('sends files to the host for files in the tenant’s own data centre, and parameters as they are', async () => {
    const sent: Sent[] = [];
    await using stage = await setTheStage(sent);
    await initializeZohoSdk(sdk, stage.vault, { resourcePath: join(stage.home, 'fields') });
    const file = join(stage.home, 'leads.zip');
    writeFileSync(file, 'some rows');
    await withTenant(key('eu'), async () => {
      const body = new sdk.BulkWrite.FileBodyWrapper();
      body.setFile(new sdk.StreamWrapper('leads.zip', createReadStream(file), null));
      const headers = new sdk.HeaderMap();
      await headers.add(sdk.BulkWrite.UploadFileHeader.FEATURE, 'bulk-write');
      await new sdk.BulkWrite.BulkWriteOperations().uploadFile(body, headers);
      const query = new sdk.ParameterMap();
      await query.add(sdk.Record.SearchRecordsParam.WORD, 'A&B C');
      await new sdk.Record.RecordOperations('Leads').searchRecords(query).catch(() => null);
    });
    const upload = sent[0];
    const search = new URL(sent.find(({ url }) => url.includes('/search'))?.url ?? '');
    expect(upload?.url).toBe('https://content.zohoapis.eu/crm/v8/upload');
    expect(upload?.contentType).toMatch(/^multipart\/form-data; ?boundary=/);
    expect(upload?.body).toContain('some rows');
    expect(search.host).toBe('www.zohoapis.eu');
    expect(search.searchParams.get('word')).toBe('A&B C');
  });

  it('works through a server with a key that never sees a token', async () => {
    await using stage = await setTheStage();
    const { key: apiKey } = await stage.vault.keys.create('sdk', { role: 'caller', tenants: ['us', 'eu'] });
    await using server = await stage.serve();
    const client = createClient({ url: server.url, apiKey });
    await initializeZohoSdk(sdk, client, { resourcePath: join(stage.home, 'fields') });
    await expect(client.getAccessToken(key('us'))).rejects.toMatchObject({ code: 'forbidden' });
    expect(await withTenant(key('eu'), company)).toBe('Example Company EU');
    expect(await withTenant(key('us'), company)).toBe('Example Company US');
  });

  it('holds no token and no secret', async () => {
    await using stage = await setTheStage();
    await initializeZohoSdk(sdk, stage.vault, { resourcePath: join(stage.home, 'fields') });
    expect(await withTenant(key('us'), company)).toBe('Example Company US');
    const { accessToken } = await stage.vault.getAccessToken(key('us'));
    const initializer = await sdk.Initializer.getInitializer();
    const held = JSON.stringify([initializer, initializer.getToken()]);
    expect(held).not.toContain(accessToken);
    expect(held).not.toMatch(/1000\./);
    expect(await initializer.getToken().remove()).toBe(false);
  });

  it('refuses what would mix tenants up, and another module', async () => {
    await using stage = await setTheStage();
    const resourcePath = join(stage.home, 'fields');
    const sdkConfig = new sdk.SDKConfigBuilder().autoRefreshFields(true).build();
    await expect(initializeZohoSdk(sdk, stage.vault, { resourcePath, sdkConfig })).rejects.toThrow('autoRefreshFields');
    // A caller without a type checker.
    const wrong = [{}, sdk.Initializer, null] as never[];
    for (const module of wrong) {
      await expect(initializeZohoSdk(module, stage.vault, { resourcePath })).rejects.toThrow('is not the module');
    }
    await expect(initializeZohoSdk(sdk, stage.vault, { resourcePath, path: 1 } as never)).rejects.toThrow(
      'no option path',
    );
  });
});
