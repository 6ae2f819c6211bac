import type { ProviderDefinition } from '../../definition.ts';

/** The hosts of the providers that have got new ones since, in their order; the oldest list stands last. */
const earlierHosts: Readonly<Record<string, readonly string[]>> = {
  zoho: [
    'api sandbox developer content recruit creator analytics calendar campaigns catalyst cliq desk mail people projects ' +
      'projectsapi sign workdrive',
    'api sandbox developer content recruit creator analytics calendar campaigns catalyst cliq desk mail people projects ' +
      'sign workdrive',
  ],
  zoho_creator: ['api creator'],
  zoho_projects: ['projects'],
};

/**
 * Returns a Zoho definition as earlier versions knew it: with fewer hosts. A connection that began under one of them ends
 * well, because no host that it knew has changed.
 */
export function earlierForms(definition: ProviderDefinition): ProviderDefinition[] {
  return (earlierHosts[definition.id] ?? []).map((list) => {
    const names = list.split(' ');
    const kept = new Set(['accounts', 'api', ...names]);
    const centers = Object.entries(definition.dataCenters ?? {});
    const dataCenters = Object.fromEntries(
      centers.map(([dc, hosts]) => [dc, Object.fromEntries(Object.entries(hosts).filter(([name]) => kept.has(name)))]),
    );
    const hosts = centers.flatMap(([, all]) => names.flatMap((name) => all[name] ?? []));
    return { ...definition, dataCenters, api: { ...definition.api, hosts } };
  });
}
