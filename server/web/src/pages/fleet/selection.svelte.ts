// The machines that are selected in the list, for what is done with several of them.
export class Selection {
  ids: readonly string[] = $state.raw([]);

  has(id: string): boolean {
    return this.ids.includes(id);
  }

  toggle(id: string): void {
    this.ids = this.has(id) ? this.ids.filter((other) => other !== id) : [...this.ids, id];
  }

  clear(): void {
    this.ids = [];
  }
}
