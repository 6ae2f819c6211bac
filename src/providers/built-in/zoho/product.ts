import type { AnswerRule, FactGroup, ProviderDefinition } from '../../definition.ts';
import type { ZohoHost } from './data-centers.ts';

/** Facts that differ between Zoho's products; all others are the same for each product. */
export interface ZohoProduct {
  readonly name: string;
  readonly documentation: string;
  readonly scopePrefix: string;
  /** Default host of API calls: the name of a host in the grant's data centre. */
  readonly base: ZohoHost;
  /** Further hosts of this product. */
  readonly hosts?: readonly ZohoHost[];
  /** Beginnings of its paths. `zoho` finds the product of a path by them: the longest one decides. */
  readonly paths: readonly string[];
  /** Beginnings of its paths on the gateway, if it has them there besides its own host. */
  readonly gatewayPaths?: readonly string[];
  /** The data centres that the documentation names; all of them if it names none. */
  readonly dataCenters?: string;
  /** Headers that yield to the caller's. */
  readonly defaults?: Readonly<Record<string, string>>;
  readonly organization?: ProviderDefinition['api']['organization'];
  readonly environments?: ProviderDefinition['environments'];
  /** A call of this product that tells its user; it comes before that of the accounts server. */
  readonly owner?: NonNullable<ProviderDefinition['api']['owner']>[number];
  /** Defaults to every 401. */
  readonly invalidToken?: readonly AnswerRule[];
  readonly scopeMissing?: readonly AnswerRule[];
  readonly health?: ProviderDefinition['api']['health'];
  /** Zoho's limits, in words. */
  readonly limits?: readonly string[];
  readonly sources: NonNullable<ProviderDefinition['sources']>;
  /** Groups of facts that public code or reports tell, each with a source. */
  readonly reported?: string;
  /** Groups of facts that follow from the other products, or from a single mention. */
  readonly guess?: string;
}

/** The products of a family, by the second part of their provider id. */
export type ZohoFamily = Readonly<Record<string, ZohoProduct>>;

/** A source that was read on a day, and the groups of facts that it tells. */
export function source(
  url: string,
  note: string,
  about: string,
  read = '2026-11-30',
): NonNullable<ProviderDefinition['sources']>[number] {
  return { url, read, note, about: groupsIn(about) };
}

/** Reads `hosts scopes` as a list. */
export function groupsIn(text: string): FactGroup[] {
  return factGroups.filter((group) => text.split(' ').includes(group));
}

/** The groups of facts of a product, each of which has a source or is marked as a guess. */
export const factGroups: readonly FactGroup[] = [
  'hosts',
  'scopes',
  'organization',
  'invalidToken',
  'scopeMissing',
  'health',
  'limits',
];

/** The words of some products, at the place that their envelope has for them. */
export function zohoWords(pointer: string): Pick<ZohoProduct, 'invalidToken' | 'scopeMissing'> {
  return {
    invalidToken: [
      { status: 401, pointer, equals: 'INVALID_OAUTHTOKEN' },
      { status: 401, pointer, absent: true },
    ],
    scopeMissing: [{ pointer, equals: 'INVALID_OAUTHSCOPE' }],
  };
}

/** A site with the documentation of most products. */
export const site = 'https://www.zoho.com';
