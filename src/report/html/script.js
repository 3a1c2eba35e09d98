(() => {
  'use strict';
  const FILTERED_ROWS = 8;
  const value = (cell) => {
    if (!cell) return '';
    const held = cell.dataset.v !== undefined ? cell : cell.querySelector('[data-v]');
    if (held) return Number(held.dataset.v);
    const text = cell.textContent.trim();
    return cell.classList.contains('n') ? Number(text.replaceAll(',', '')) : text;
  };
  const unknown = (cell) => !cell || cell.classList.contains('no');
  const compare = (a, b) => {
    if (typeof a === 'number' && typeof b === 'number') return a - b;
    return String(a).localeCompare(String(b), 'en', { numeric: true });
  };

  const sortable = (table) => {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener('click', () => {
        const up = head.getAttribute('aria-sort') !== 'ascending';
        heads.forEach((other) => other.removeAttribute('aria-sort'));
        head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
        const rows = [...body.rows];
        rows.sort((a, b) => {
          const [x, y] = [a.cells[column], b.cells[column]];
          if (unknown(x) || unknown(y)) return unknown(x) - unknown(y);
          return compare(value(x), value(y)) * (up ? 1 : -1);
        });
        body.append(...rows);
      });
    });
  };

  const filterable = (table) => {
    const rows = [...table.tBodies[0].rows];
    let texts = null;
    const line = document.createElement('p');
    const label = document.createElement('label');
    const input = document.createElement('input');
    const told = document.createElement('output');
    line.className = 'filter';
    input.type = 'search';
    input.autocomplete = 'off';
    label.append('Show rows with', input);
    line.append(label, told);
    const tell = (n) => { told.textContent = `${n} of ${rows.length} rows`; };
    tell(rows.length);
    input.addEventListener('input', () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      // Words of two cells side by side are not one word.
      texts ??= rows.map((row) =>
        [...row.cells].map((cell) => cell.textContent).join('\n').toLowerCase());
      let shown = 0;
      rows.forEach((row, at) => {
        row.hidden = !words.every((word) => texts[at].includes(word));
        shown += !row.hidden;
      });
      tell(shown);
    });
    table.closest('.wide').before(line);
  };

  for (const table of document.querySelectorAll('table')) {
    const rows = table.tBodies[0].rows.length;
    if (rows > 1) sortable(table);
    if (rows >= FILTERED_ROWS) filterable(table);
  }
})();
