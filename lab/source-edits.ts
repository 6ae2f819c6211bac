import type { LoadHookSync } from 'node:module';

/** A piece of a source file, which must be there exactly once, and what is put in its place. */
export interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** A hook for `registerHooks` that changes modules as they are loaded; the files stay as they are. */
export function loadEdited(edits: readonly Edit[]): LoadHookSync {
  return (url, context, nextLoad) => {
    const loaded = nextLoad(url, context);
    const here = edits.filter((edit) => url.endsWith(edit.file));
    if (here.length === 0) return loaded;
    return { ...loaded, source: here.reduce(edited, textOf(loaded.source)) };
  };
}

/** A guard that was rewritten must not go on as a check that cannot fail: what is to be taken out must be there, once. */
function edited(source: string, { file, from, to }: Edit): string {
  const places = source.split(from).length - 1;
  if (places !== 1) throw new Error(`found ${places} times, not once, in ${file}: ${from}`);
  return source.replace(from, () => to);
}

function textOf(source: string | ArrayBuffer | NodeJS.TypedArray | null | undefined): string {
  if (typeof source === 'string') return source;
  if (source === null || source === undefined) throw new Error('a module without source');
  return new TextDecoder().decode(source);
}
