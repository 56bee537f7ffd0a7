"""The two ECG-JEPAs: that of Weimann and Conrad over times, that of Kim over a grid of leads and times."""
