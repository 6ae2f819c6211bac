/** A queue in which members of several groups wait. The groups take turns, so that a crowd in one delays no other. */
export class FairQueue<Member> {
  /** By group, in the order of their turns. A group without members has no entry. */
  readonly #groups = new Map<string, Member[]>();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(group: string, member: Member): void {
    const members = this.#groups.get(group);
    if (members === undefined) this.#groups.set(group, [member]);
    else members.push(member);
    this.#length += 1;
  }

  /** Takes the first member of the group whose turn it is; undefined when none waits. */
  take(): Member | undefined {
    const [first] = this.#groups;
    if (first === undefined) return undefined;
    const [group, members] = first;
    const member = members.shift();
    this.#length -= 1;
    this.#groups.delete(group);
    // Its next turn comes after those of all others.
    if (members.length > 0) this.#groups.set(group, members);
    return member;
  }

  /** Removes a member that waits no longer; false if it was taken before. */
  remove(group: string, member: Member): boolean {
    const members = this.#groups.get(group) ?? [];
    const index = members.indexOf(member);
    if (index < 0) return false;
    members.splice(index, 1);
    this.#length -= 1;
    if (members.length === 0) this.#groups.delete(group);
    return true;
  }
}
