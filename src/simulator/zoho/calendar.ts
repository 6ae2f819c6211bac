import { z } from 'zod';
import { type AnswerEvent, json, type SimulatorAnswer } from '../http/answer.ts';
import type { KnownUser } from '../state/registry.ts';
import type { Incoming } from '../state/request.ts';
import type { SimulatorState } from '../state/state.ts';
import { hex } from '../state/tokens.ts';

/** Events to keep per calendar; older ones are dropped. */
const eventsMax = 200;

const eventSchema = z.looseObject({
  title: z.string().optional(),
  dateandtime: z.looseObject({ start: z.string().min(1), end: z.string().min(1), timezone: z.string().optional() }),
});

/**
 * Handles the events of a calendar: list, read, create, change and delete. As with Zoho Calendar, the event comes as JSON in
 * the field `eventdata` of the query or of a form.
 */
export function calendarEvents(
  state: SimulatorState,
  incoming: Incoming,
  { match, user, event }: { match: RegExpExecArray | null; user: KnownUser; event: AnswerEvent },
): SimulatorAnswer {
  const [, calendar = '', uid] = match ?? [];
  const invalid = (status: number, code: string, message: string): SimulatorAnswer =>
    json(status, { error: [{ error_code: code, message }] }, { ...event, outcome: 'invalid', error: code });
  if (calendar !== user.orgId) return invalid(404, 'CALENDAR_NOT_FOUND', 'There is no such calendar.');
  const key = `Calendar ${user.orgId} ${user.id} ${calendar}`;
  const kept = state.records.get(key) ?? [];
  const found = kept.find((each) => each['uid'] === uid);
  if (uid !== undefined && found === undefined) return invalid(404, 'EVENT_NOT_FOUND', 'There is no such event.');
  if (incoming.method === 'GET') return json(200, { events: found === undefined ? kept : [found] }, event);
  if (incoming.method === 'DELETE') {
    state.records.set(
      key,
      kept.filter((each) => each !== found),
    );
    return json(200, { events: [{ uid, estatus: 'deleted' }] }, event);
  }
  const given = readEvent(incoming.parameters.get('eventdata'));
  if (given === null) return invalid(400, 'INVALID_DATA', 'eventdata is missing, or is no event with start and end.');
  const made = { ...found, ...given, uid: found?.['uid'] ?? hex(state.random, 16), etag: String(state.clock.now()) };
  state.records.set(key, [...kept.filter((each) => each !== found), made].slice(-eventsMax));
  return json(200, { events: [made] }, event);
}

function readEvent(text: string | null): Record<string, unknown> | null {
  try {
    return eventSchema.parse(JSON.parse(text ?? ''));
  } catch {
    return null;
  }
}
