// The same names from CommonJS.
import pinfold = require('pinfold')

const outcome: Promise<pinfold.Outcome> = pinfold.run(['true'])
void outcome
