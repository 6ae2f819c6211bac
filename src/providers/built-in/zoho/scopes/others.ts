import type { ScopeEntry } from '../../../definition.ts';
import { all, rows, type ScopeFamily } from './rows.ts';

/** A family with every operation, or with those after the colon: `tickets`, `basic:READ`, `settings!` where ALL is broad. */
function families(text: string): ScopeFamily[] {
  return text.split(' ').map((each) => {
    const [written = '', operations = all] = each.split(':');
    const name = written.replace('!', '');
    const made = { name, things: wordsOf(name), operations: operations.replaceAll(',', ' ') };
    return written.endsWith('!') ? { ...made, broad: made.operations } : made;
  });
}

/** `teamfolders.sharing` reads "teamfolders sharing". */
function wordsOf(name: string): string {
  return name.replaceAll('.', ' ').replaceAll('_', ' ');
}

const crmLike = 'settings! users! org:ALL,READ bulk:ALL,READ,CREATE notifications';

/** The scopes of the products with few of them. */
export const otherScopes: Readonly<Record<string, readonly ScopeEntry[]>> = {
  bigin: rows(
    'ZohoBigin',
    families(
      `modules! modules.contacts modules.accounts modules.pipelines modules.products modules.tasks modules.events modules.calls modules.notes coql:READ ${crmLike}`,
    ),
  ),
  recruit: rows(
    'ZohoRecruit',
    families(
      `modules! ${['candidate', 'jobopening', 'interview', 'client', 'contact', 'vendors', 'department', 'assessment', 'referral', 'notes', 'task', 'event', 'custom'].map((each) => `modules.${each}`).join(' ')} ${crmLike}`,
    ),
  ),
  fsm: rows(
    'ZohoFSM',
    families(
      'modules! modules.Companies modules.Contacts modules.WorkOrders modules.ServiceAppointments modules.Estimates users files',
    ),
  ),
  workerly: rows('ZohoWorkerly', families('modules! users! settings! setup! org:READ')),
  phonebridge: [
    { name: 'PhoneBridge.call.log', words: 'Read and write call logs' },
    { name: 'PhoneBridge.zohoone.search', words: 'Search records of all products for a caller' },
  ],
  creator: rows(
    'ZohoCreator',
    families(
      'form:CREATE,ALL report meta.application:READ meta.form:READ dashboard:READ bulk:READ,CREATE customapi:EXECUTE',
    ),
  ),
  analytics: [
    { name: 'ZohoAnalytics.fullaccess.all', words: 'Do everything in Zoho Analytics', broad: true },
    ...rows(
      'ZohoAnalytics',
      families(
        'data:all,read,create,update,delete modeling:all,create,update,delete metadata:all,read,create,update,delete share:all,read,create,update,delete embed:all,read,create,update,delete usermanagement!:all,read,create,update,delete',
      ),
    ),
  ],
  catalyst: rows(
    'ZohoCatalyst',
    families(
      'projects projects.users tables:READ tables.columns:READ tables.rows cache segments cron zcql:CREATE functions:EXECUTE folders files mail:CREATE',
    ),
  ),
  dataprep: rows('ZohoDataPrep', families('pipelines workspaces')),
  tables: rows('ZohoTables', families('bases tables records')),
  desk: rows(
    'Desk',
    families(
      'tickets contacts tasks events calls articles products agents! settings! organization:READ basic:READ,CREATE search:READ webhooks community:READ',
    ),
  ),
  mail: rows(
    'ZohoMail',
    families(
      'accounts:READ,UPDATE,ALL folders messages! attachments:READ,CREATE,ALL tags tasks notes contacts links organization.accounts! organization.groups! organization.domains! organization.policy! organization.audit:READ',
    ),
  ),
  calendar: rows('ZohoCalendar', families('calendar event freebusy:READ search:READ')),
  cliq: rows(
    'ZohoCliq',
    families(
      'Users Chats Channels Messages Webhooks:CREATE Bots messageactions Buddies:READ Departments Teams Reminders OrganizationChats!:READ OrganizationMessages!:READ OrganizationChannels!',
    ),
  ),
  meeting: rows('ZohoMeeting', families('manageOrg:READ meeting webinar recording meetinguds')),
  voice: rows(
    'ZohoVoice',
    families('call:READ,CREATE,ALL sms:READ,CREATE powerdialer contacts users:READ queues agents'),
  ),
  salesiq: rows(
    'SalesIQ',
    families(
      'portals:READ,UPDATE operators departments conversations visitors:READ visitorviews leads feedbacks:READ apps webhooks encryptions trackingpresets',
    ),
  ),
  assist: rows(
    'ZohoAssist',
    families('userapi:READ sessionapi:READ,CREATE unattended.computer:READ unattended.group reportapi:READ'),
  ),
  lens: rows('ZohoLens', families('userapi:READ sessionapi:READ,CREATE reportapi:READ')),
  connect: rows('ZohoPulse', families('networklist:READ feedList groups tasks forums')),
  social: rows('ZohoSocial', families('Organization:READ Integration:READ Publish:ALL Media:ALL')),
  zeptomail: rows('Zeptomail', families('MailTemplates MailAgents')),
  projects: rows(
    'ZohoProjects',
    families(
      'portals projects tasks tasklists milestones status bugs tags events forums users clients documents timesheets activities:READ,ALL feeds:ALL search:READ entity_properties custom_fields:READ',
    ),
  ),
  bugtracker: rows('ZohoBugTracker', families('portals:READ projects bugs milestones users:READ timesheets documents')),
  sprints: rows(
    'ZohoSprints',
    families('teams:READ teamusers projects projectusers sprints items epic timesheets release webhook settings:READ'),
  ),
  workdrive: [
    ...rows(
      'WorkDrive',
      families(
        'team teamfolders teamfolders.sharing teamfolders.admin:READ workspace files! files.sharing groups users:READ organization! links labels comments',
      ),
    ),
    ...rows('ZohoFiles', [
      { name: 'files', things: 'the content of files', operations: 'ALL READ CREATE', when: 'Uploads and downloads' },
    ]),
  ],
  sheet: rows('ZohoSheet', families('dataAPI:READ,UPDATE,ALL')),
  writer: rows('ZohoWriter', families('documentEditor:ALL merge:ALL')),
  sign: rows('ZohoSign', families('documents! templates account')),
  contracts: [
    { name: 'contracts.clm.ALL', words: 'Do everything in Zoho Contracts', broad: true },
    ...rows('contracts', families('meta:READ,CREATE,UPDATE,DELETE contracts')),
  ],
  learn: rows(
    'ZohoLearn',
    families(
      'customportal manual space article articleimage attachment comment template favorite activity hubMember questionbank tag member network commentlike profile notification course lesson lessondiscussion quiz',
    ),
  ),
  vault: rows('ZohoVault', families('secrets! folders user usergroups')),
  campaigns: rows(
    'ZohoCampaigns',
    families('contact:READ,CREATE,UPDATE,CREATE-UPDATE,ALL campaign:READ,CREATE,UPDATE,ALL'),
  ),
  marketingautomation: rows('ZohoMarketingAutomation', families('lead contact campaign journey:READ wa:READ')),
  backstage: rows(
    'zohobackstage',
    families(
      'portal:READ event:READ,CREATE,UPDATE,DELETE agenda:READ,CREATE,UPDATE,DELETE speaker:READ,CREATE,UPDATE,DELETE sponsor:READ,CREATE,UPDATE,DELETE eventticket:READ,CREATE,UPDATE,DELETE order:READ,CREATE,UPDATE,DELETE attendee:READ',
    ),
  ),
  bookings: [
    {
      name: 'zohobookings.data.CREATE',
      words: 'Do everything in Zoho Bookings',
      when: 'Every call: there is no narrower scope',
      broad: true,
    },
  ],
  people: rows(
    'ZOHOPEOPLE',
    families('forms! employee! attendance leave timetracker dashboard:ALL automation:ALL training'),
  ),
  shifts: rows('ZohoShifts', families('employees schedules shifts timesheets timeoff settings!')),
  directory: rows('ZohoDirectory', families('users! groups! org:READ')),
  servicedesk: rows(
    'SDPOnDemand',
    families(
      'requests! problems changes projects assets cmdb solutions users! contracts purchases general:READ setup!:READ,CREATE,UPDATE,DELETE,ALL',
    ),
  ),
  endpointcentral: rows(
    'DesktopCentralCloud',
    families('Common:READ SOM:READ,UPDATE PatchMgmt:READ,UPDATE Inventory:READ,UPDATE'),
  ),
  site24x7: rows(
    'Site24x7',
    families(
      'Account:Read,Create,Update,Delete,All Admin!:Read,Create,Update,Delete,All Reports:Read,Create,Update,Delete,All Operations:Read,Create,Update,Delete,All Msp:Read,Create,Update,Delete,All Bu:Read,Create,Update,Delete,All',
    ),
  ),
};

/** Scopes of Zoho's accounts, which a grant may have beside those of a product. */
export const accountScopes: readonly ScopeEntry[] = [
  { name: 'AaaServer.profile.READ', words: "Read the user's name and address", when: 'Telling who gave a grant' },
];
