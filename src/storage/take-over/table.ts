/** The columns that existing installations have. A table of tokens has at least the first five. */
export const plainColumns = [
  'id',
  'client_id',
  'provider',
  'access_token',
  'refresh_token',
  'token_expiry',
  'scopes',
  'metadata',
  'created_at',
  'updated_at',
] as const;

export type PlainColumn = (typeof plainColumns)[number];

/** A row as another program wrote it: every value as the text that its database makes of it. */
export type ForeignRow = { readonly row: number } & { readonly [column in PlainColumn]: string | null };

/** A foreign row in our form. Its tokens stay in place, as plaintext, until the row is sealed. */
export interface ConvertedRow {
  row: number;
  id: string;
  client_id: string;
  provider: string;
  token_expiry: string | null;
  scopes: string;
  /** JSON object. */
  metadata: string;
  created_at: string;
  updated_at: string;
  state: 'active' | 'reauthorization_required';
  reason: string | null;
}

export interface ForeignColumn {
  name: string;
  /** As its database writes it. */
  type: string;
}

/** A table that another program made, as its database describes it. */
export interface ForeignTable {
  columns: readonly ForeignColumn[];
  /** Columns we do not know: they stay, with their data. */
  extra: readonly ForeignColumn[];
  /** The reasons why it cannot be taken over as it is. */
  refusals: readonly string[];
  /** The parts that do not survive, each with its definition. */
  dropped: readonly DroppedPart[];
}

export interface DroppedPart {
  kind: 'trigger' | 'rule' | 'constraint' | 'index' | 'foreign key';
  name: string;
  definition: string;
}

/** Names the column that holds a raw value while rows are converted; an absent column is NULL. */
export type RawColumns = ReadonlyMap<PlainColumn, string>;
