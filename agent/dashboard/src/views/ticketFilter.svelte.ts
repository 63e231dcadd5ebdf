/** Which tickets the list shows. */

import { isOpen, type Severity, type Ticket } from '../picture/model';

class TicketFilter {
  state = $state<'open' | 'all'>('open');
  /** `null` shows every severity. */
  severity = $state<Severity | null>(null);

  /** Shows one severity alone, or all again when it already does. */
  only(severity: Severity): void {
    this.severity = this.severity === severity ? null : severity;
  }

  takes(ticket: Ticket): boolean {
    if (this.state === 'open' && !isOpen(ticket)) return false;
    return this.severity === null || ticket.severity === this.severity;
  }
}

export const filter = new TicketFilter();
