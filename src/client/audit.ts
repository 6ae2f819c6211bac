import { verifyExport } from '../audit/export-file.ts';
import { linesOf } from '../base/network/lines.ts';
import { auditCheckpointSchema, auditPageSchema, auditProofSchema } from '../schemas/audit.ts';
import type { AuditCalls, AuditFilter } from '../vault/types.ts';
import { type Http, notUnderstood, problemIn } from './http.ts';

/** Longest line of an export: an entry with its details. */
const lineBytesMax = 1_000_000;

/** The calls of the audit log behind a server. */
export function remoteAudit(http: () => Http): AuditCalls {
  async function* lines(): AsyncGenerator<string> {
    const response = await http().send('GET', '/v1/audit/export', { headers: {} });
    if (!response.ok) throw await problemIn(response);
    for await (const line of linesOf(response.body, lineBytesMax)) {
      if (!('text' in line)) throw notUnderstood(response.status);
      yield line.text;
    }
  }
  return {
    list: async (filter = {}) =>
      (await http().ask('GET', '/v1/audit', auditPageSchema, { query: queryOf(filter) })).body,
    checkpoint: async () => (await http().ask('GET', '/v1/audit/checkpoint', auditCheckpointSchema)).body,
    prove: async (seq) => (await http().ask('GET', `/v1/audit/entries/${seq}/proof`, auditProofSchema)).body,
    export: lines,
    verify: (options) => verifyExport(lines(), options),
  };
}

function queryOf(filter: AuditFilter): Record<string, string | number | undefined> {
  const { tenant, action, since, until, ...rest } = filter;
  return {
    ...rest,
    tenant,
    action: typeof action === 'string' ? action : action?.join(','),
    since: since?.toISOString(),
    until: until?.toISOString(),
  };
}
