"use strict";
// A grid of tens of thousands of cells, of which only those in sight exist. Data comes in pages, from a function that returns a promise.
class Grid {
  constructor(element, space, fetchPage, draw) {
    Object.assign(this, { element, space, fetchPage, draw, length: 0, pages: new Map(), cells: new Map(), columns: 1, PAGE: 200 });
    element.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.layout()).observe(element);
  }
  reset(length, items) {
    this.length = length; this.pages.clear(); if (items && items.length >= Math.min(length, this.PAGE)) this.pages.set(0, items); this.version = (this.version || 0) + 1;
    for (const cell of this.cells.values()) cell.remove();
    this.cells.clear(); this.element.scrollTop = 0; this.layout();
  }
  layout() {
    const width = this.element.clientWidth - 12;
    this.columns = Math.max(2, Math.floor(width / 158)); this.width = width / this.columns; this.height = Math.min(this.width, 190) + 44;
    this.space.style.height = `${Math.ceil(this.length / this.columns) * this.height}px`;
    for (const [index, cell] of this.cells) this.place(cell, index);
    this.soon();
  }
  place(cell, index) {
    const x = (index % this.columns) * this.width + 4, y = Math.floor(index / this.columns) * this.height;
    cell.style.transform = `translate(${x}px, ${y}px)`; cell.style.width = `${this.width}px`; cell.style.height = `${this.height}px`;
  }
  soon() { if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.show(); }); }
  show() {
    if (!this.length) return;
    const top = this.element.scrollTop, rows = 2;
    const first = Math.max(0, (Math.floor(top / this.height) - rows) * this.columns);
    const last = Math.min(this.length, (Math.ceil((top + this.element.clientHeight) / this.height) + rows) * this.columns);
    for (const [index, cell] of this.cells) if (index < first || index >= last) { cell.remove(); this.cells.delete(index); }
    const made = document.createDocumentFragment();
    for (let index = first; index < last; index++) {
      if (this.cells.has(index)) continue;
      const cell = document.createElement("div");
      cell.className = "cell"; cell.setAttribute("role", "option"); cell.id = `cell-${index}`; cell.dataset.index = index;
      cell.setAttribute("aria-setsize", this.length); cell.setAttribute("aria-posinset", index + 1);
      this.place(cell, index); this.cells.set(index, cell); made.append(cell);
      this.draw(cell, index, this.item(index));
    }
    this.space.append(made);
    for (let page = Math.floor(first / this.PAGE); page <= Math.floor(Math.max(first, last - 1) / this.PAGE); page++) this.load(page);
  }
  item(index) { const page = this.pages.get(Math.floor(index / this.PAGE)); return Array.isArray(page) ? page[index % this.PAGE] : undefined; }
  async load(page) {
    if (this.pages.has(page)) return this.pages.get(page);
    const version = this.version, promise = this.fetchPage(page * this.PAGE, this.PAGE);
    this.pages.set(page, promise);
    try {
      const items = await promise;
      if (version !== this.version) return;
      this.pages.set(page, items); this.redraw(page * this.PAGE, (page + 1) * this.PAGE);
    } catch (error) { if (version === this.version) { this.pages.delete(page); setTimeout(() => this.soon(), 1000); } }
  }
  async fetchItem(index) { await this.load(Math.floor(index / this.PAGE)); return this.item(index); }
  redraw(from = 0, to = this.length) { for (const [index, cell] of this.cells) if (index >= from && index < to) this.draw(cell, index, this.item(index)); }
  update(item) {
    for (const [page, items] of this.pages) {
      if (!Array.isArray(items)) continue;
      const at = items.findIndex((one) => one && one.id === item.old);
      if (at >= 0) { if (item.now) item.now = { ...item.now, begin: items[at].begin, size: items[at].size }; items[at] = item.now; const index = page * this.PAGE + at; if (this.cells.has(index)) this.draw(this.cells.get(index), index, item.now); }
    }
  }
  reveal(index) {
    const y = Math.floor(index / this.columns) * this.height, view = this.element.clientHeight;
    if (y < this.element.scrollTop) this.element.scrollTop = y;
    else if (y + this.height > this.element.scrollTop + view) this.element.scrollTop = y + this.height - view;
    this.soon();
  }
}
