internal import ApusCLI

await CommandLineTool.main()
