import Foundation
import TestSupport

/// Labs that stay when the demo ends.
enum KeptLabs {
    /// Leaves the lab up, with its agent and servers.
    static func keep(_ stage: Stage) async throws { try await stage.lab.keep() }

    /// Says how to look around in a lab that stays.
    static func explain(_ stage: Stage) {
        stage.transcript.heading("The lab \(stage.lab.id) stays, with its agent and servers.")
        let (lab, agent) = (stage.lab, stage.agent)
        let node = lab.node(Shop.node).namespace
        let client = lab.pod(Shop.client).namespace
        let intruder = lab.pod(Shop.intruder).namespace
        stage.transcript.say(
            """
            A root shell on its node, where apus finds the lab's agent:

              sudo env PATH="\(NodeAgent.binaries):$PATH" \\
                APUS_BPFFS=\(agent.bpffs) \\
                APUS_SOCKET=\(agent.socket) \\
                APUS_CNI_CONF_DIR=\(lab.directory)/net.d APUS_CNI_BIN_DIR=\(lab.directory)/cni-bin \\
                nsenter --net=/run/netns/\(node) --wd=\(lab.directory) bash

            In that shell:

              apus status
              apus endpoint list; apus service list; apus policy list
              apus flow observe --follow &
              nsenter --net=/run/netns/\(client) curl -m 1 http://\(Shop.web.ipv4)/
              nsenter --net=/run/netns/\(intruder) curl -m 1 http://\(Shop.web.ipv4)/
              sed -i 's/role: customer/role: scraper/' manifests/policy-web.yaml
              kill -9 \(agent.pid ?? 0); apus status
              cat apusd.log

            The agent again, in the background:

              \(agent.restartCommand) &

            Remove the lab:

              sudo scripts/demo --remove
            """)
    }

    /// Removes every lab that was kept.
    static func removeAll(_ transcript: Transcript) async throws {
        let labs = try Lab.all().filter(isKept)
        if labs.isEmpty { return transcript.say("No lab was kept.") }
        for lab in labs {
            try await Lab.remove(lab)
            transcript.say("Removed lab \(lab).")
        }
    }

    private static func isKept(_ lab: String) -> Bool {
        FileManager.default.fileExists(atPath: "/run/apus-lab/\(lab)/keep")
    }
}
