// The script of the page "Review". Modules that are not listed here are listed in chat.js and compare.js.
//
//   tasks     what the reviewer has in hand: the choice, Skip, Flag, and the next one

import "./english.js";
import { startConsent } from "./consent.js";
import { startRedraws } from "./dom.js";
import { startMending } from "./mend.js";
import { startOutbox } from "./outbox.js";
import { startPulse } from "./pulse.js";
import { startScreen } from "./screen.js";
import { startSidebar } from "./sidebar.js";
import { startStatus } from "./status.js";
import { startTasks } from "./tasks.js";
import { startTurns } from "./turns.js";

startTurns();
startOutbox();
startTasks();
startScreen();
startConsent();
startSidebar();
startStatus();
startMending();
startPulse();
startRedraws();
