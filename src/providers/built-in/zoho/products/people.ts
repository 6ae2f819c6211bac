import { site, source, type ZohoFamily } from '../product.ts';

/** Products about people and accounts. */
export const peopleFamily: ZohoFamily = {
  people: {
    name: 'Zoho People',
    documentation: `${site}/people/api/overview.html`,
    scopePrefix: 'ZOHOPEOPLE',
    base: 'people',
    paths: ['/people', '/api/forms', '/api/hrcases', '/api/leave', '/api/attendance', '/api/timetracker'],
    // `response.errors` is one object or a list of them.
    scopeMissing: [
      { pointer: '/response/errors/message', equals: 'Invalid OAuth Scope.' },
      { pointer: '/response/errors/message', equals: 'INVALID_OAUTHSCOPE' },
      { pointer: '/response/errors/0/message', equals: 'INVALID_OAUTHSCOPE' },
      { pointer: '/errors/message', equals: 'INVALID_OAUTHSCOPE' },
      { pointer: '/message', equals: 'INVALID_OAUTHSCOPE' },
    ],
    health: { path: '/people/api/forms', scope: 'ZOHOPEOPLE.forms.READ' },
    sources: [
      source(`${site}/people/api/scopes.html`, 'the scopes', 'scopes health'),
      source('https://github.com/NangoHQ/nango', 'the host', 'hosts', '2026'),
    ],
    reported: 'hosts',
    guess: 'organization invalidToken scopeMissing',
  },
  shifts: {
    name: 'Zoho Shifts',
    documentation: `${site}/shifts/api/v1/`,
    scopePrefix: 'ZohoShifts',
    base: 'shifts',
    paths: ['/api/v1/shifts', '/api/v1/timesheets', '/api/v1/schedules'],
    sources: [source(`${site}/shifts/api/v1/authentication/`, 'OAuth with scopes in several data centres', 'scopes')],
    guess: 'hosts scopes organization invalidToken scopeMissing health',
  },
  directory: {
    name: 'Zoho Directory',
    documentation: `${site}/directory/api/v2/`,
    scopePrefix: 'ZohoDirectory',
    base: 'directory',
    paths: ['/directory', '/api/v2/groups', '/api/v2/users'],
    sources: [source(`${site}/directory/api/v2/oauth/`, 'scopes of groups', 'scopes')],
    guess: 'hosts organization invalidToken scopeMissing health',
  },
};
