import type { Dice } from '../dice.ts';

/** A token endpoint's proper answer, as text, with the tokens that it is about. */
export interface RealAnswer {
  readonly provider: string;
  readonly text: string;
  readonly contentType: string;
  readonly accessToken: string;
  /** The living refresh token; null where the provider sends none with a refresh. */
  readonly refreshToken: string | null;
  /** The refresh token that the request spent. */
  readonly spentToken: string;
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function random(dice: Dice, length: number, more = ''): string {
  const from = letters + more;
  return Array.from({ length }, () => from.charAt(dice.below(from.length))).join('');
}

const json = 'application/json;charset=UTF-8';

/** Makers of answers in the form of real providers, with invented values. */
const makers: readonly ((dice: Dice) => Omit<RealAnswer, 'spentToken'>)[] = [
  (dice) => {
    const accessToken = `1000.${random(dice, 32)}.${random(dice, 32)}`;
    const text = `{"access_token":"${accessToken}","scope":"ZohoCRM.modules.ALL ZohoCRM.settings.ALL","api_domain":"https://www.zohoapis.eu","token_type":"Bearer","expires_in":3600}`;
    return { provider: 'zoho', text, contentType: json, accessToken, refreshToken: null };
  },
  (dice) => {
    const accessToken = `ya29.${random(dice, 160, '-_')}`;
    const text = `{\n  "access_token": "${accessToken}",\n  "expires_in": 3599,\n  "scope": "openid https://www.googleapis.com/auth/drive.file",\n  "token_type": "Bearer",\n  "id_token": "eyJ.${random(dice, 40)}.${random(dice, 40)}"\n}`;
    return { provider: 'google', text, contentType: json, accessToken, refreshToken: null };
  },
  (dice) => {
    const [accessToken, refreshToken] = [`eyJ${random(dice, 60)}.${random(dice, 200, '-_')}`, random(dice, 43, '-_')];
    const text = `{"id_token":"eyJ.${random(dice, 50)}","access_token":"${accessToken}","expires_in":1800,"token_type":"Bearer","refresh_token":"${refreshToken}","scope":"openid offline_access accounting.transactions"}`;
    return { provider: 'xero', text, contentType: json, accessToken, refreshToken };
  },
  (dice) => {
    const [accessToken, refreshToken] = [`eyJraWQ.${random(dice, 120)}`, random(dice, 43, '-_')];
    const text = `{"token_type":"Bearer","expires_in":3600,"access_token":"${accessToken}","scope":"offline_access profile","refresh_token":"${refreshToken}"}`;
    return { provider: 'okta', text, contentType: json, accessToken, refreshToken };
  },
  (dice) => {
    const [accessToken, refreshToken] = [`xoxe.xoxb-1-${random(dice, 60)}`, `xoxe-1-${random(dice, 100)}`];
    const text = `{"ok":true,"app_id":"A0${random(dice, 8)}","authed_user":{"id":"U0${random(dice, 8)}"},"scope":"chat:write,channels:read","token_type":"bot","access_token":"${accessToken}","bot_user_id":"U1","refresh_token":"${refreshToken}","expires_in":43200,"team":{"id":"T1","name":"Caf\\u00e9 \\"Nord\\" \\\\ 株式会社"},"enterprise":null,"is_enterprise_install":false}`;
    return { provider: 'slack', text, contentType: json, accessToken, refreshToken };
  },
  (dice) => {
    const [accessToken, refreshToken] = [`ghu_${random(dice, 36)}`, `ghr_${random(dice, 76)}`];
    const text = `access_token=${accessToken}&expires_in=28800&refresh_token=${refreshToken}&refresh_token_expires_in=15897600&scope=&token_type=bearer`;
    return {
      provider: 'github',
      text,
      contentType: 'application/x-www-form-urlencoded; charset=utf-8',
      accessToken,
      refreshToken,
    };
  },
  (dice) => {
    const [accessToken, refreshToken] = [`00D${random(dice, 90, '!._')}`, `5Aep861${random(dice, 70, '._')}`];
    const text = `{"access_token":"${accessToken}","refresh_token":"${refreshToken}","signature":"${random(dice, 40, '+/')}=","scope":"refresh_token api","instance_url":"https://acme.my.salesforce.com","id":"https://login.salesforce.com/id/00D/005","token_type":"Bearer","issued_at":"1764410000000"}`;
    return { provider: 'salesforce', text, contentType: json, accessToken, refreshToken };
  },
  (dice) => {
    const [accessToken, refreshToken] = [`EwB${random(dice, 300, '+/')}=`, `M.C5_${random(dice, 200, '*!$')}`];
    const text = JSON.stringify({
      token_type: 'Bearer',
      scope: 'Mail.Read',
      expires_in: 3600,
      ext_expires_in: 3600,
      access_token: accessToken,
      refresh_token: refreshToken,
      client_info: random(dice, 60),
    });
    return { provider: 'microsoft', text, contentType: json, accessToken, refreshToken };
  },
];

/** Makes a proper answer of one of the providers. */
export function realAnswer(dice: Dice): RealAnswer {
  const made = makers[dice.below(makers.length)]?.(dice);
  if (made === undefined) throw new Error('no maker');
  return { ...made, spentToken: `spent-${random(dice, 40)}` };
}
