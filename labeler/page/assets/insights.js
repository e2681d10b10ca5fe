// The script of the page "Insights".
//
//   overview  what the statistics say
//   charts    small charts, tables, and intervals in their cells

import "./english.js";
import { startRedraws } from "./dom.js";
import { startMending } from "./mend.js";
import { startOutbox } from "./outbox.js";
import { startOverview } from "./overview.js";
import { startPulse } from "./pulse.js";
import { startScreen } from "./screen.js";
import { startSidebar } from "./sidebar.js";
import { startStatus } from "./status.js";
import { startTurns } from "./turns.js";

startTurns();
startOutbox();
startOverview();
startScreen();
startSidebar();
startStatus();
startMending();
startPulse();
startRedraws();
