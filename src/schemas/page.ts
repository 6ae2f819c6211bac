import { z } from 'zod';
import { type Json, toJson } from './json.ts';
import { list, type Thing, thing } from './thing.ts';

/** A list of things that is complete. */
export function items<Item>(id: string, description: string, item: Thing<Item>, example: Record<string, unknown>) {
  return thing({ id, description, example: { items: [example] } }, { items: list(item) });
}

/** One page of a longer list. */
export function page<Item>(id: string, description: string, item: Thing<Item>, example: Record<string, unknown>) {
  return thing(
    { id, description, example: { items: [example], next_cursor: null } },
    {
      items: list(item),
      /** The `cursor` of the next page; `null` on the last one. */
      next: z.string().nullable().meta({ description: 'The `cursor` of the next page; `null` on the last one.' }),
    },
    { names: { next: 'next_cursor' } },
  );
}

export function pageToJson<Item extends object>(given: {
  readonly items: readonly Item[];
  readonly next: string | null;
}): { items: Json<Item>[]; next_cursor: string | null } {
  return { items: given.items.map((item) => toJson(item)), next_cursor: given.next };
}
