import { openAsBlob, statSync } from 'node:fs';
import { errorCodes } from '../../base/errors.ts';
import { importResultToJson } from '../../schemas/write-json.ts';
import type { ImportResult } from '../../vault/types.ts';
import { type Context, makeContextVault } from '../context.ts';
import { usageError } from '../terminal/errors.ts';
import { counted } from '../terminal/present.ts';
import { withProgress } from '../terminal/progress.ts';

/** Failures that are printed; the rest is counted. */
const shownMax = 20;

interface LineImportOptions {
  readonly tenant?: string;
  readonly tenantFromName?: boolean;
  readonly app?: string;
  readonly account?: string;
  readonly dryRun?: boolean;
  readonly replace?: boolean;
  readonly anyway?: boolean;
}

/** Imports a file with one grant per line, in the form of `POST /v1/import`. A bad line stops no other. */
export async function importLineFile(
  context: Context,
  paths: readonly string[],
  options: LineImportOptions,
): Promise<void> {
  const [path, ...others] = paths;
  if (path === undefined || others.length > 0)
    throw usageError('An NDJSON file is imported by itself.', 'Run one import per NDJSON file.');
  const { tenant, tenantFromName, app, account, dryRun, replace, anyway } = options;
  const given = [tenant, tenantFromName, app, account, dryRun, replace, anyway];
  if (given.some((option) => option !== undefined)) {
    throw usageError(
      '--tenant, --tenant-from-name, --app, --account, --replace, --dry-run and --anyway do not work with an NDJSON file.',
      'Leave them out: each line has its own tenant, app, account, replace and dry_run.',
    );
  }
  const { size } = statSync(path);
  const counts = { stored: 0, replaced: 0, left: 0, failed: 0 };
  const failures: ImportResult[] = [];
  let read = 0;
  const watched = (await openAsBlob(path)).stream().pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        read += chunk.length;
        controller.enqueue(chunk);
      },
    }),
  );
  await using vault = await makeContextVault(context);
  await withProgress(
    context.world,
    () =>
      `Importing grants: ${counts.stored + counts.replaced + counts.left} done, ${counts.failed} failed, ${percent(read, size)} read`,
    async () => {
      for await (const result of vault.importLines(watched)) {
        if (context.output.json) context.output.printJson(importResultToJson(result));
        if (result.code !== undefined) {
          counts.failed += 1;
          if (failures.length < shownMax) failures.push(result);
        } else if (result.result === 'imported') counts.stored += 1;
        else if (result.result === 'replaced') counts.replaced += 1;
        else counts.left += 1;
      }
    },
  );
  report(context, counts, failures);
  if (counts.failed > 0) process.exitCode = errorCodes.invalid_request.exit;
}

function report(
  { output }: Context,
  counts: { stored: number; replaced: number; left: number; failed: number },
  failures: readonly ImportResult[],
): void {
  if (!output.json) {
    for (const { line, detail = '', action = '' } of failures) output.print(`line ${line}: ${detail} ${action}`);
    if (counts.failed > failures.length) output.print(`… and ${counts.failed - failures.length} more`);
  }
  const { stored, replaced, left, failed } = counts;
  const total = stored + replaced + left + failed;
  output.note(
    `${counted(total, 'line')}: ${stored} stored, ${replaced} replaced, ${left} left as they are, ${failed} failed.`,
  );
}

function percent(part: number, whole: number): string {
  return `${whole === 0 ? 100 : Math.min(100, Math.floor((part / whole) * 100))} %`;
}
