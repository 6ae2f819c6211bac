import type { ScopeEntry } from '../../../definition.ts';
import { all, rows, type ScopeFamily } from './rows.ts';

/** The modules with scopes of their own, and how people call their records. */
const modules: readonly (readonly [string, string])[] = [
  ['leads', 'leads'],
  ['contacts', 'contacts'],
  ['accounts', 'accounts'],
  ['deals', 'deals'],
  ['campaigns', 'campaigns'],
  ['tasks', 'tasks'],
  ['events', 'meetings'],
  ['calls', 'calls'],
  ['cases', 'cases'],
  ['solutions', 'solutions'],
  ['products', 'products'],
  ['vendors', 'vendors'],
  ['pricebooks', 'price books'],
  ['quotes', 'quotes'],
  ['salesorders', 'sales orders'],
  ['purchaseorders', 'purchase orders'],
  ['invoices', 'invoices'],
  ['appointments', 'appointments'],
  ['services', 'services'],
  ['custom', 'records of custom modules'],
  ['notes', 'notes'],
  ['attachments', 'attachments'],
  ['dashboards', 'dashboards'],
  ['approvals', 'approvals'],
];

const settings: readonly (readonly [string, string])[] = [
  ['modules', 'the list of modules'],
  ['fields', 'fields of the modules'],
  ['layouts', 'layouts of the modules'],
  ['related_lists', 'related lists'],
  ['custom_views', 'list views'],
  ['roles', 'roles'],
  ['profiles', 'profiles'],
  ['territories', 'territories'],
  ['currencies', 'currencies'],
  ['tags', 'tags'],
  ['variables', 'variables of the organisation'],
  ['pipeline', 'pipelines'],
  ['tab_groups', 'groups of tabs'],
  ['global_picklist', 'shared pick lists'],
  ['business_hours', 'business hours'],
  ['fiscal_year', 'the fiscal year'],
  ['email_templates', 'templates of mails'],
  ['inventory_templates', 'templates of documents'],
  ['automation_actions', 'actions of automation'],
  ['workflow_rules', 'workflow rules'],
  ['assignment_rules', 'assignment rules'],
  ['scoring_rules', 'scoring rules'],
  ['record_locking_configurations', 'settings of record locks'],
  ['duplicate_check_preference', 'the rules for duplicates'],
  ['map_dependency', 'dependencies of fields'],
];

/** Families that are neither a module nor a setting. */
const others: readonly ScopeFamily[] = [
  { name: 'users', things: 'users', operations: all, broad: 'ALL', when: 'Names of record owners' },
  {
    name: 'org',
    things: "the organisation's data",
    operations: 'ALL READ UPDATE',
    broad: 'ALL',
    when: 'Health checks',
  },
  { name: 'bulk', things: 'bulk jobs', operations: 'ALL READ CREATE', broad: 'ALL', when: 'Jobs over many records' },
  { name: 'notifications', things: 'notification channels', operations: all, when: 'Webhooks for changed records' },
  {
    name: 'coql',
    things: 'records with COQL',
    operations: 'READ',
    when: 'COQL queries, besides the scopes of modules',
  },
  { name: 'files', things: 'files', operations: 'READ CREATE', when: 'Files and images of a field' },
  { name: 'features', things: 'the features of the edition', operations: 'READ' },
  { name: 'apis', things: 'the list of APIs', operations: 'READ' },
  { name: 'signals', things: 'signals', operations: 'ALL READ CREATE', when: 'SalesSignals' },
  {
    name: 'send_mail',
    things: 'mails from every module',
    operations: 'all.CREATE',
    when: 'Sending mail from a record',
  },
  { name: 'functions.execute', things: 'functions', operations: 'READ CREATE', when: 'Calling a function over REST' },
];

const perRecord: readonly (readonly [string, string, string])[] = [
  ['share', 'shares of', 'Sharing one record'],
  ['change_owner', 'the owner of', 'Giving records to another user'],
  ['mass_update', 'many', 'Mass updates'],
  ['mass_convert', 'conversions of many', 'Mass conversion'],
];

/** The scopes of Zoho CRM. */
export const crm: readonly ScopeEntry[] = [
  ...rows('ZohoCRM', [
    { name: 'modules', things: 'records of every module', operations: `${all} WRITE`, broad: all },
    ...modules.map(([name, things]) => ({ name: `modules.${name}`, things, operations: all })),
    { name: 'settings', things: 'all settings', operations: `${all} WRITE`, broad: `${all} WRITE` },
    ...settings.map(([name, things]) => ({ name: `settings.${name}`, things, operations: all })),
    ...others,
    ...perRecord.flatMap(([name, words, when]) =>
      ['leads', 'contacts', 'accounts', 'deals'].map((module) => ({
        name: `${name}.${module}`,
        things: `${words} ${module}`,
        operations: name === 'share' ? all : 'ALL READ CREATE UPDATE',
        when,
      })),
    ),
  ]),
  {
    name: 'ZohoCRM.modules.activities',
    words: 'Tasks, meetings and calls together',
    retired: 'CRM refuses it since API version 3. Use modules.tasks, modules.events and modules.calls.',
  },
];
