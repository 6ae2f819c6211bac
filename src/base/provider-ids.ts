/** The ids of the built-in providers, for the catalogue and for completion in an editor. */
export const builtInProviderIds = [
  'zoho',
  'zoho_crm',
  'zoho_bigin',
  'zoho_recruit',
  'zoho_books',
  'zoho_invoice',
  'zoho_inventory',
  'zoho_creator',
  'zoho_bookings',
  'zoho_analytics',
  'zoho_calendar',
  'zoho_campaigns',
  'zoho_catalyst',
  'zoho_cliq',
  'zoho_desk',
  'zoho_mail',
  'zoho_people',
  'zoho_projects',
  'zoho_sign',
  'zoho_workdrive',
  'google',
  'microsoft',
  'xero',
  'quickbooks',
  'hubspot',
  'salesforce',
  'github',
  'ringcentral',
] as const;

/** The id of a built-in provider. */
export type BuiltInProviderId = (typeof builtInProviderIds)[number];

/** The id of any provider; an editor completes the built-in ones. */
export type ProviderId = BuiltInProviderId | (string & {});
